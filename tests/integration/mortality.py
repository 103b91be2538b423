"""Death by SIGKILL at each fault point once, and a clock that goes on over the deaths."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from backcast.services.fault_points import listen

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.services.fault_points import FaultPoint


class Mortal:
    """A process that dies at the first fault point that it has not died at before.

    `folder` keeps where it died, in `died-at`, and how many `minutes` its clock was ahead. `late` is how far it is now.
    """

    def __init__(self, folder: Path) -> None:
        self._survived, self._minutes = folder / "died-at", folder / "minutes"
        self.late = timedelta(minutes=float(self._minutes.read_text()))
        listen(self._die)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.late

    def _die(self, point: FaultPoint) -> None:
        with self._survived.open("a+") as file:
            file.seek(0)
            if point not in file.read().split():
                file.write(f"{point}\n")
                file.flush()
                self._minutes.write_text(str(self.late.total_seconds() / 60))
                os.kill(os.getpid(), signal.SIGKILL)
