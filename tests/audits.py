"""A week on a stepped clock: nightly reports, and the audit that holds its findings against the repository."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import commit

from backcast.services.collect import collect
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.finding_checks import Checked, check_findings
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.settings import run_settings

AUDIT = "weekly_code_audit"
EVAL = "def evaluated(text):\n    return eval(text)\n"
SWALLOWED = "def careless(task):\n    try:\n        task()\n    except:\n        pass\n"
UNUSED = "import os\n\nVALUE = 1\n"
UNREACHABLE = "def early():\n    return 1\n    print(2)\n"
COPYLEFT = "# SPDX-License-Identifier: GPL-3.0-only\nNAME = 'copied'\n"
REPORT_SCHEMA = json.loads(files("backcast.reports").joinpath("report.schema.json").read_bytes())


class Week(SteppedNight):
    """Runs of either workflow through the services, one after the other; every batch takes a day."""

    def whole(self, workflow: str, key: str, **params: Any) -> dict[str, Any]:
        """Go through a run without its checks, and return its report."""
        return self.published(self.answered(workflow, key, **params))

    def audited(self, key: str, **params: Any) -> dict[str, Any]:
        """Go through an audit with its checks, and return its report."""
        run_id = self.answered(AUDIT, key, **params)
        self.check(run_id)
        return self.published(run_id)

    def answered(self, workflow: str, key: str, **params: Any) -> int:
        """Go through the rounds of a run."""
        settings = run_settings(workflow, {"repository": str(self.repository), **params})
        run_id = open_run(self.ledger, self.api, self.now, settings, external_key=key)
        collect(self.ledger, self.now, run_id, cache=self.folder)
        self._round(run_id, 1)
        resubmit_failures(self.ledger, run_id, 2)
        self._round(run_id, 2)
        return run_id

    def check(self, run_id: int, **more: Any) -> Checked:
        return check_findings(self.ledger, self.api, self.now, run_id, cache=self.folder, pause=self.pause, **more)

    def check_that_dies(self, run_id: int, at: FaultPoint) -> None:
        """Begin the checks of a run, whose process dies at a point."""

        class Died(BaseException):
            pass

        def die(point: FaultPoint) -> None:
            if point is at:
                raise Died

        listen(die)
        with pytest.raises(Died):
            self.check(run_id)
        listen(None)

    def published(self, run_id: int) -> dict[str, Any]:
        path = publish(self.ledger, self.now, run_id, reports=self.folder / "reports").report
        assert path
        report: dict[str, Any] = json.loads(path.with_suffix(".json").read_bytes())
        jsonschema.validate(report, REPORT_SCHEMA)
        report["markdown"] = path.read_text()
        report["folder"] = path.parent
        return report

    def synchronous(self) -> list[dict[str, Any]]:
        """What was paid for synchronously: the turns of the checks."""
        return [charge for charge in self.simulator.bill()["requests"] if charge["kind"] == "synchronous"]

    def _round(self, run_id: int, number: int) -> None:
        for batch_id in plan_round(self.ledger, self.now, run_id, number):
            self.submit(batch_id)
            self.simulator.advance(DAY)
            ingest(self.ledger, self.api, self.now, batch_id)

    def days(self, count: float) -> None:
        self.simulator.advance(count * DAY)

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.repository / f"{name}.py").write_text(text)
        commit(self.repository, "next")


def found(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(finding["path"], finding["category"]) for finding in findings]


def seen(entries: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(entry["finding"]["path"], entry["finding"]["status"], entry["run_id"]) for entry in entries]
