"""`backcast run` as a process that dies, by SIGKILL, at the first fault point that it has not died at before.

Its clock goes two minutes on with each look, so that the waits of a lost create call take no time.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backcast import cli_run
from backcast.cli import main
from backcast.services.fault_points import FaultPoint, listen


def mortal(folder: Path) -> None:
    survived = folder / "died-at"
    late = timedelta(minutes=float((folder / "minutes").read_text()))

    def now() -> datetime:
        nonlocal late
        late += timedelta(seconds=5)
        return datetime.now(UTC) + late

    def die(point: FaultPoint) -> None:
        with survived.open("a+") as file:
            file.seek(0)
            if point not in file.read().split():
                file.write(f"{point}\n")
                file.flush()
                (folder / "minutes").write_text(str(late.total_seconds() / 60))
                os.kill(os.getpid(), signal.SIGKILL)

    cli_run.now = now
    listen(die)


if __name__ == "__main__":
    mortal(Path(sys.argv[1]))
    main(sys.argv[2:])
