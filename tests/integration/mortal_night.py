"""One process of a night that dies, by SIGKILL, at the first fault point that it has not died at before.

Its clock goes two minutes on with each look, so that the waits of a lost create call take no time.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.integration.mortality import Mortal
from tests.support import WORKFLOW, api_at, prove

from backcast.domain.errors import ApiError
from backcast.ledger.connection import Ledger
from backcast.services.open_run import open_run
from backcast.services.reconcile import Folders, finish_run
from backcast.settings import run_settings


def main(  # noqa: PLR0913, PLR0917  its command line
    dsn: str, base_url: str, repository: str, folder: Path, sla: str, proved: str, workflow: str = WORKFLOW
) -> None:
    mortal = Mortal(folder)
    ledger, api, folders = Ledger(dsn), api_at(base_url), Folders(folder / "cache", folder / "reports")
    settings = run_settings(workflow, {"repository": repository, "sla": sla})
    run_id = open_run(ledger, api, mortal.now, settings, external_key="mortal/1")
    if proved == "proved":
        prove(ledger, run_id)
    while True:
        try:
            if finish_run(ledger, api, mortal.now, run_id, folders).startswith("published"):
                return
        except ApiError as error:
            print(error, flush=True)  # noqa: T201  for whoever looks into a failure
        mortal.late += timedelta(minutes=2)
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), *sys.argv[5:])
