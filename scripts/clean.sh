#!/bin/sh
# Ends what is left running and removes what was made, but for the reports.
set -eu
cd "$(dirname "$0")/.."

# Any Python will do: .venv may be broken, which is a reason to clean up.
for python in .venv/bin/python "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        PYTHONPATH=include "$python" -B -m backcast.local.clean
        break
    fi
done
rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
find . -name __pycache__ -type d -prune -exec rm -rf {} +
rm -rf include/*.egg-info
