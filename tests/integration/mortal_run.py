"""`backcast run` as a process that dies, by SIGKILL, at the first fault point that it has not died at before.

Its clock goes five seconds on each time that it is asked, so that the waits of a lost create call take no time.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from tests.integration.mortality import Mortal

from backcast import cli_run
from backcast.cli import main

if __name__ == "__main__":
    mortal = Mortal(Path(sys.argv[1]))

    def now() -> datetime:
        mortal.late += timedelta(seconds=5)
        return mortal.now()

    cli_run.now = now
    main(sys.argv[2:])
