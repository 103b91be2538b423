"""Takes away what code that nobody has read has left, however it is nested and whatever its permissions are."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_OURS_ALONE: Final = 0o700


def take_away(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that is allowed; never raises OSError.

    Folders in it are moved to its top one by one, so that neither its depth nor the length of its paths matters, of
    which `shutil.rmtree` knows no end but an error.
    """
    with suppress(OSError):
        folder.chmod(_OURS_ALONE)
        top = Path(tempfile.mkdtemp(dir=folder))
        waiting, moved = [folder], 0
        while waiting:
            current = waiting.pop()
            for entry in _entries(current):
                if entry.path == str(top):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    with suppress(OSError):
                        os.unlink(entry.path)  # noqa: PTH108  no path of each of what may be millions
                    continue
                moved += 1
                inner = top / str(moved)
                with suppress(OSError):
                    # To be moved it has to be writable, too.
                    os.chmod(entry.path, _OURS_ALONE)  # noqa: PTH101  as above
                    os.rename(entry.path, inner)  # noqa: PTH104  as above
                    waiting.append(inner)
            if current != folder:
                with suppress(OSError):
                    current.rmdir()
        top.rmdir()
        folder.rmdir()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
