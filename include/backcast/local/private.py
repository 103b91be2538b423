"""Files that only their owner may read: passwords and keys, made once and kept."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    # Created with its final mode: a chmod afterwards would leave a moment in which others can open the file.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def kept_secret(path: Path, make: Callable[[], str] = secrets.token_urlsafe) -> str:
    """Return the secret kept at `path`; the first call makes it."""
    if not path.exists():
        write_private(path, make())
    return path.read_text(encoding="utf-8").strip()
