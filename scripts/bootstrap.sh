#!/bin/sh
# Makes .venv with the packages of requirements.txt. Needs python3 with venv, and git; says so if they are missing.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "make install: $*" >&2
    exit 2
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is not a Python from 3.11 to 3.13."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if fits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python from 3.11 to 3.13 found. Install one, for example" \
        "\`apt-get install python3 python3-venv\`, or name one: make install PYTHON=/path/to/python3.12"
}

# A .venv that another tool made may lack pip.
usable_venv() {
    fits .venv/bin/python && {
        .venv/bin/python -m pip --version || .venv/bin/python -m ensurepip
    } >/dev/null 2>&1
}

install_with_uv() {
    .venv/bin/uv pip install --quiet --python .venv --require-hashes --compile-bytecode -r requirements.txt &&
        .venv/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
}

install_with_pip() {
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements.txt &&
        .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
}

command -v git >/dev/null 2>&1 || fail "git is not installed. Install it, for example \`apt-get install git\`."
python=$(find_python)
"$python" -c 'import venv, ensurepip' >/dev/null 2>&1 ||
    fail "$python comes without venv. Install it, for example \`apt-get install python3-venv\`."

# uv wants a folder for its cache, and there may be no home to put it in.
if [ ! -d "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; then
    export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
fi
# A company may have its own certificate authority, which the system knows and uv does not.
export PIP_DISABLE_PIP_VERSION_CHECK=1 UV_SYSTEM_CERTS=1
# Bytecode beside the packages: without it each start of Airflow costs seconds more.
unset PYTHONDONTWRITEBYTECODE

echo "Installing packages into .venv"
usable_venv || "$python" -m venv --clear .venv || fail "$python cannot make .venv: see above."
if .venv/bin/python -m pip install --quiet --require-hashes -r requirements-bootstrap.txt && install_with_uv; then
    exit 0
fi
# pip knows the index, proxy and certificates of this machine from its own configuration, which uv does not read.
echo "uv could not install the packages: trying pip, which takes a minute"
install_with_pip || fail "the packages cannot be installed: see above. Is the package index reachable?"
