"""The tests that a run proposes: what is reused of other runs is looked at again, and what is offered is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.failures import Cause
from backcast.domain.generation import GenerationReport, NothingToTest, NotOffered, OfferedTests
from backcast.domain.static_checks import NOTE, count_tests
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.copy import stream
from backcast.ledger.runs import test_terms_of
from backcast.services.acceptance import parse_answer
from backcast.services.kinds import proposed_tests_of
from backcast.services.outcomes import told_of_every_run, unanswered

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.domain.proposed import ProposedFile, ProposedTests

_FAILED = f"{Cause.FAILED_CHECK}: "


def answer_of(run: Row, raw: str) -> dict[str, Any]:
    """Return the accepted answer of a result of a run, given as the ledger keeps it."""
    answer: dict[str, Any] = parse_answer(orjson.loads(raw)["message"], orjson.loads(run["answer_schema"]))
    return answer


def refuse_failing(connection: Connection, now: datetime, run: Row, *, final: bool = False) -> None:
    """Take back the answers of other runs that a run has reused and that fail at what its repository holds now.

    Their documents are then asked about, or, with `final`, are left unanswered. Nothing is done for a run that proposes
    no tests.

    Args:
        connection: in a transaction that holds the run.
        now: the time in UTC.
        run: the run.
        final: nothing is asked any more.
    """
    proposed = proposed_tests_of(connection, run)
    if proposed is None:
        return
    key = {"run_id": run["run_id"]}
    while failing := list(_failing(connection, run, proposed)):
        for row, wrong in failing:
            store_test_run(connection, now, run["run_id"], row["result_id"], verdict="failed", detail=wrong)
            refuse_reused(connection, row["document_id"], wrong, final=final)
        if final:
            return
        # There may be another answer, which came later.
        connection.execute(sql("reuse_answers"), key)


def _failing(connection: Connection, run: Row, proposed: ProposedTests) -> list[tuple[Row, str]]:
    rows = connection.execute(sql("reused_answers"), {"run_id": run["run_id"]}).fetchall()
    looked_at = ((row, row["failed"] or proposed.failed_check(answer_of(run, row["raw"]), row["path"])) for row in rows)
    return [(row, wrong) for row, wrong in looked_at if wrong]


def store_test_run(  # noqa: PLR0913  what the ledger keeps of a check
    connection: Connection,
    now: datetime,
    run_id: int,
    result_id: int,
    *,
    verdict: str,
    detail: str | None = None,
    passed: int | None = None,
    seconds: float | None = None,
) -> None:
    """Keep what a check of an answer has shown, unless it was kept before."""
    # PostgreSQL's text cannot hold NUL, which what a test prints can.
    shown = detail.replace("\0", " ") if detail is not None else None
    values = {"verdict": verdict, "detail": shown, "passed": passed, "seconds": seconds}
    connection.execute(sql("store_test_run"), {"run_id": run_id, "result_id": result_id, "now": now, **values})


def refuse_reused(connection: Connection, document_id: int, wrong: str, *, final: bool) -> None:
    """Let a document have no answer whose reused one has failed; with `final` it stays without."""
    if final:
        reason = _FAILED + wrong.replace("\0", " ")
        connection.execute(sql("refuse_reused"), {"document_id": document_id, "reason": reason})
    else:
        connection.execute(sql("release_reused"), {"document_id": document_id})


def generation_report(connection: Connection, run: Row) -> tuple[GenerationReport, list[ProposedFile]]:
    """Return what a run has to report, and the files of its patch.

    Args:
        connection: in the transaction that publishes the run.
        run: the run, all of whose documents are settled, as of `published_at`.
    """
    refuse_failing(connection, run["published_at"], run, final=True)
    offered, nothing, files = _offered(connection, run)
    left = unanswered(connection, run["run_id"])
    report = GenerationReport(
        **told_of_every_run(connection, run),
        repository=run["repository"],
        ref=run["ref"],
        commit=run["commit_id"],
        committed_at=run["committed_at"],
        run_tests=test_terms_of(run).run,
        offered=tuple(offered),
        not_offered=tuple(
            NotOffered(one.path, one.reason.removeprefix(_FAILED), one.attempts)
            for one in left
            if one.reason.startswith(_FAILED)
        ),
        nothing_to_test=tuple(nothing),
        unanswered=tuple(one for one in left if not one.reason.startswith(_FAILED)),
    )
    return report, files


def _offered(connection: Connection, run: Row) -> tuple[list[OfferedTests], list[NothingToTest], list[ProposedFile]]:
    proposed = proposed_tests_of(connection, run)
    if proposed is None:
        raise AssertionError("a run whose answers are no tests has none to offer")
    offered: list[OfferedTests] = []
    nothing: list[NothingToTest] = []
    patch: list[ProposedFile] = []
    for row in stream(connection, "answers_to_offer", {"run_id": run["run_id"]}, at_a_time=50):
        answer = answer_of(run, row["raw"])
        files = proposed.files(answer, row["path"])
        if not files:
            nothing.append(NothingToTest(row["path"], str(answer.get(NOTE) or "")))
            continue
        patch += files
        ran = row["verdict"] == "passed"
        offered.append(
            OfferedTests(
                document=row["path"],
                files=tuple(file.path for file in files),
                covers=tuple(covered for file in files for covered in file.covers),
                tests=sum(count_tests(file.content) for file in files),
                imports="checked" if proposed.knows_imports else "not checked",
                ran="passed" if ran else "not run",
                passed=row["passed"],
                seconds=row["seconds"],
                why_not_run="" if ran else _why_not_run(run, row),
            )
        )
    return offered, nothing, patch


def _why_not_run(run: Row, row: Row) -> str:
    if not test_terms_of(run).run:
        return "running tests is not switched on"
    return row["detail"] or "the stage that runs them was not reached"
