"""A folder of files on disk: complete, or not there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

from backcast.domain.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path


def write_folder(contents: Mapping[str, bytes], parent: Path, opened_at: datetime, commit: str) -> Path:
    """Write files into a new folder below `parent`, named by a time in UTC and a commit; returns the folder.

    Raises:
        ReportError: it cannot be written.
    """
    # Two may begin in the same second.
    folder = parent / f"{opened_at:%Y-%m-%dT%H%M%SZ}-{commit[:12]}-{uuid4().hex[:6]}"
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        temporary.rename(folder)
    except OSError as error:
        raise ReportError(
            f"cannot write the report to {folder}: {error.strerror or error}; make room there, make it writable, or "
            "choose another folder by BACKCAST_REPORTS"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
