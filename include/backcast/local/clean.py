"""`make clean`: ends what a killed session left, and deletes databases, logs and secrets, wherever they are.

Standard library only: it also runs without the virtual environment.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from backcast.domain.errors import BackcastError
from backcast.local.leftovers import end_leftover
from backcast.local.lock import held_home
from backcast.local.options import Api, StackOptions
from backcast.local.postgres import remove_postgres


def clean(options: StackOptions) -> list[Path]:
    """Delete the state of every API, and return the folders that were deleted.

    Raises:
        InputError: a stack is running there.
    """
    removed = []
    for home in (options.home_of(api) for api in Api):
        # Only what has our lock in it is ours: BACKCAST_HOME may be any folder.
        if not (home / "lock").is_file():
            continue
        with held_home(home):
            end_leftover(home)
            remove_postgres(home)
            shutil.rmtree(home)
        removed.append(home)
    with suppress(OSError):
        options.base.rmdir()  # unless somebody keeps something else there
    return removed


def main() -> int:
    """Clean up, for the Makefile."""
    home = os.environ.get("BACKCAST_HOME")
    try:
        for folder in clean(StackOptions(home=Path(home) if home else None)):
            print(f"Removed {folder}")  # noqa: T201  a command's own message
    except BackcastError as error:
        print(f"make clean: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
