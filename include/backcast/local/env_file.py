"""`make secrets`: the `.env` that Docker Compose reads, with random passwords and keys.

Standard library only: it also runs without the virtual environment.
"""

from __future__ import annotations

import base64
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backcast.local.private import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Letters, digits, `-` and `_` only: they stand in URLs, in JSON and in this file as they are.
SECRETS: Final[Mapping[str, Callable[[], str]]] = {
    "POSTGRES_PASSWORD": lambda: secrets.token_urlsafe(24),
    "AIRFLOW_DB_PASSWORD": lambda: secrets.token_urlsafe(24),
    "BACKCAST_DB_PASSWORD": lambda: secrets.token_urlsafe(24),
    "AIRFLOW_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
    "AIRFLOW_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    # Longer than 512 bits: what the tokens' signature is made from.
    "AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),
    "AIRFLOW_SECRET_KEY": lambda: secrets.token_urlsafe(32),
}

# What a person may want to change, and what there is to know about it. Values here are no secrets.
SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "ANTHROPIC_API_KEY": ("", "Needed for Anthropic's API only. The simulator takes any key."),
    "BACKCAST_API_URL": (
        "http://simulator:8790",
        "The simulator, which runs under --profile demo; or https://api.anthropic.com, where every run is paid for.",
    ),
    "BACKCAST_POLL_INTERVAL": (
        "2",
        "Seconds between two looks at a batch: 2 for the simulator, whose hours take seconds, 60 for the real API.",
    ),
    "BACKCAST_SCHEDULES": ("false", "true lets DAGs also start by themselves."),
}

_ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*")


def complete(text: str) -> tuple[str, list[str]]:
    """Return an `.env` with what it lacks, and the names that were added; a value that is there stays.

    A secret without a value counts as missing. A setting without a value does not: somebody may want it empty.
    """
    made: list[str] = []
    lines = [_filled(line, made) for line in text.splitlines()]
    there = {name for name, _ in map(_assignment, lines)}
    for name, make in SECRETS.items():
        if name not in there:
            lines.append(f"{name}={make()}")
            made.append(name)
    for name, (value, comment) in SETTINGS.items():
        if name not in there:
            lines += ["", f"# {comment}", f"{name}={value}"]
            made.append(name)
    return "\n".join(lines) + "\n", made


def write_env_file(path: Path) -> list[str]:
    """Complete the file at `path`, which only its owner may read afterwards; return the names that were added."""
    path = path.resolve()
    text, made = complete(path.read_text(encoding="utf-8") if path.exists() else "")
    if made:
        write_private(path, text)
    path.chmod(0o600)
    return made


def _filled(line: str, made: list[str]) -> str:
    name, value = _assignment(line)
    if name not in SECRETS or value:
        return line
    made.append(name)
    return f"{name}={SECRETS[name]()}"


def _assignment(line: str) -> tuple[str, str]:
    match = _ASSIGNMENT.fullmatch(line)
    return (match[1], match[2].strip("'\"")) if match else ("", "")


def main() -> int:
    """Make the file that is named on the command line, for the Makefile."""
    path = Path(sys.argv[1])
    try:
        made = write_env_file(path)
    except (OSError, UnicodeDecodeError) as error:
        print(f"make secrets: {path} cannot be read or written: {error}", file=sys.stderr)  # noqa: T201  a command's own message
        return 2
    if made:
        print(f"{path}, which only you can read, now has {', '.join(made)}.")  # noqa: T201  as above
    else:
        print(f"{path} lacks nothing, and was left as it is.")  # noqa: T201  as above
    print("Airflow's user is admin; its password is AIRFLOW_ADMIN_PASSWORD in that file.")  # noqa: T201  as above
    return 0


if __name__ == "__main__":
    sys.exit(main())
