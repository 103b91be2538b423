"""Collects a run's documents: stores them by content, reuses answers, and says what the rest will cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

from backcast.domain.errors import InputError
from backcast.domain.static_checks import asks_for_tests
from backcast.domain.workflow import answer_key_at, document_hash
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in, stream
from backcast.ledger.runs import load_run, lock_run, prompt_of_row, rescue_terms_of
from backcast.services.addressings import search_contents
from backcast.services.budget import reserve
from backcast.services.caching import settle_caching
from backcast.services.claims import ask, take_over
from backcast.services.estimate import CostModel, shown_bytes
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.proposed_tests import refuse_failing
from backcast.services.reading import documents_of_run
from backcast.services.rounds import FIRST_ROUND
from backcast.settings import load_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from backcast.domain.caching import Caching
    from backcast.domain.documents import SourceDocument
    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class Collection:
    """What a run collected. `to_send` requests cost about `estimated_usd` as a batch.

    Documents `elsewhere` wait for another run; for those `left_out` the budget does not suffice. `caching` says whether
    what all requests share is cached, and why; it is empty where nobody decided.
    """

    commit: str
    collected: int
    skipped: tuple[tuple[str, int], ...]
    reused: int
    elsewhere: int
    left_out: int
    to_send: int
    estimated_usd: Decimal
    caching: str


def collect(ledger: Ledger, clock: Clock, run_id: int, *, cache: Path) -> Collection:
    """Collect the documents of a run, once: a later call only tells what was collected.

    Args:
        ledger: where the run is.
        clock: tells the time in UTC.
        run_id: the run.
        cache: where clones of remote repositories are kept.

    Raises:
        InputError: the source cannot be read, or nothing of a repository is left after filtering.
    """
    with ledger.transaction() as connection:
        if lock_run(connection, run_id) == "open":
            _collect(connection, clock, load_run(connection, run_id), cache)
            reached(FaultPoint.COLLECT_BEFORE_COMMIT)
        collection = _summary(connection, run_id)
    reached(FaultPoint.COLLECT_COMMITTED)
    return collection


def _collect(connection: Connection, clock: Clock, run: Row, cache: Path) -> None:
    source = documents_of_run(run, cache)
    first = [GitIgnoreSpec.from_lines([pattern]) for pattern in rescue_terms_of(run).first]
    connection.execute(sql("create_collected"))
    copy_in(connection, "copy_collected", _rows(source.documents(), run, first))
    snapshot = source.snapshot()
    key = {"run_id": run["run_id"]}
    connection.execute(sql("store_contents"))
    connection.execute(sql("store_documents"), key)
    _require_documents(connection, run)
    outline = source.outline() if asks_for_tests(run["answer_schema"]) else None
    if outline is not None:
        connection.execute(sql("store_outline"), {**key, "outline": outline.stored()})
    # Now, when there is time, and before the sample is chosen.
    search_contents(connection, run["run_id"])
    take_over(connection, clock, run["run_id"])
    connection.execute(sql("reuse_answers"), key)
    refuse_failing(connection, clock(), run)
    connection.execute(sql("settle_in_review"), key)
    ask(connection, run["run_id"], FIRST_ROUND)
    # Before the money is reserved, which has to cover what is written to the cache.
    settle_caching(connection, run)
    reserve(connection, load_run(connection, run["run_id"]))
    # And again: what the budget does not cover shares nothing.
    caching = settle_caching(connection, run)
    connection.execute(
        sql("finish_collecting"),
        {
            **key,
            "commit_id": snapshot.commit,
            "committed_at": snapshot.committed_at,
            "estimated_usd": _estimate(connection, run, caching),
        },
    )


def _rows(documents: Iterable[SourceDocument], run: Row, first: list[GitIgnoreSpec]) -> Iterator[tuple[object, ...]]:
    prompt = prompt_of_row(run)
    for document in documents:
        content = key = None
        if document.text is not None:
            content = document_hash(document.text, document.pdf)
            key = answer_key_at(document.path, content, prompt, run["model"])
        yield (
            document.path,
            document.language,
            document.size,
            content,
            key,
            document.skip_reason,
            document.text,
            next((index for index, spec in enumerate(first) if spec.match_file(document.path)), len(first)),
            shown_bytes(document),
            document.pdf,
        )


def _require_documents(connection: Connection, run: Row) -> None:
    if run["source"] != "git":
        # Nothing may have come in since the last one was taken away.
        return
    skipped = _skipped(connection, run["run_id"])
    row = connection.execute(sql("collectable"), {"run_id": run["run_id"]}).fetchone()
    if row and row["count"]:
        return
    raise InputError(nothing_left(run["repository"], run["ref"], skipped))


def nothing_left(repository: str, ref: str, skipped: Iterable[tuple[str, int]]) -> str:
    """Say that no document is left, and how many were left out for each reason."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped) or "no files are there"
    where = f"{repository} at {ref}" if ref else repository
    return (
        f"Nothing of {where} is left to analyse: {reasons}. "
        "Check the name, the ref if it has one, and the patterns in include and exclude."
    )


def _estimate(connection: Connection, run: Row, caching: Caching) -> Decimal:
    costs = CostModel(load_model(run["model"]), prompt_of_row(run), caching.ttl, caching.hit_share)
    sizes = stream(connection, "root_request_sizes", {"run_id": run["run_id"]})
    return sum((costs.batch_usd(row["prompt_bytes"]) for row in sizes), Decimal(0))


def _skipped(connection: Connection, run_id: int) -> tuple[tuple[str, int], ...]:
    rows = connection.execute(sql("skipped_by_reason"), {"run_id": run_id}).fetchall()
    return tuple((row["reason"], row["count"]) for row in rows)


def _summary(connection: Connection, run_id: int) -> Collection:
    row = connection.execute(sql("collection_summary"), {"run_id": run_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no run {run_id}.")
    return Collection(
        commit=row["commit_id"],
        collected=row["collected"],
        skipped=_skipped(connection, run_id),
        reused=row["reused"],
        elsewhere=row["elsewhere"],
        left_out=row["left_out"],
        to_send=row["estimated_requests"],
        estimated_usd=row["estimated_usd"],
        caching=row["caching"] or "",
    )
