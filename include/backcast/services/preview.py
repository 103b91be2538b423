"""Shows what would be sent, by the code that sends it, and sends nothing."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Final

import orjson

from backcast.domain.caching import LEAST_MEASURED
from backcast.domain.errors import InputError
from backcast.domain.failures import Remedy, Variant
from backcast.domain.wire_ids import slug, wire_id
from backcast.domain.workflow import answer_key_at, document_hash
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, lock_run
from backcast.services.collect import nothing_left
from backcast.services.estimate import caching_for
from backcast.services.holds import goes_on
from backcast.services.prompts import builder_for, params_of
from backcast.services.reading import documents_of
from backcast.services.resubmit import Resubmission, decide, resubmit_within
from backcast.services.rounds import FIRST_ROUND, LAST_ROUND, RESCUE_ROUND, plan_within
from backcast.services.submit import body_of, requests_of, unsent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from backcast.domain.caching import Caching
    from backcast.domain.documents import SourceDocument
    from backcast.domain.workflow import RunSettings
    from backcast.services.open_run import Clock

# Always the same, so that two previews can be compared; no batch of a ledger has it.
_NONCE: Final = "0" * 10
_IN_MEMORY_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent.

    Attributes:
        body: the body of the create call, to be read from its beginning and closed.
        requests: how many requests it holds.
        notes: what is to be known about it, a sentence each.
    """

    body: IO[bytes]
    requests: int
    notes: tuple[str, ...]


def first_round(settings: RunSettings, cache: Path, limit: int | None) -> Preview:
    """Return what a run with these settings would send first if no answer was known, without ledger and API.

    Args:
        settings: of the run.
        cache: where clones of remote repositories are kept.
        limit: at most so many requests; None: all.

    Raises:
        InputError: the repository cannot be read, or nothing of it is left after filtering.
    """
    source = documents_of(settings, cache)
    skipped: Counter[str] = Counter()
    asked = _first_asked(settings, source.documents(), skipped)
    # Of the first ones it shows whether there are enough to share what is cached.
    first = list(islice(asked, LEAST_MEASURED))
    caching = caching_for(settings.model, settings.prompt, len(first) if len(first) < LEAST_MEASURED else None)
    body, shown, more = _written(_first_requests(settings, caching, chain(first, asked)), limit)
    if not shown:
        snapshot = source.snapshot()
        raise InputError(nothing_left(snapshot.repository, snapshot.ref, skipped.most_common()))
    notes = [*_more(shown, more=more), f"Prompt cache: {caching.why}; the ledger may know better."]
    if settings.structured:
        notes.append("`output_config` is left out of a run when the API says that the model cannot keep to a schema.")
    notes.append(
        f"A prompt that has not passed on this model is proved on {settings.sample.documents} of them, synchronously."
    )
    return Preview(body, shown, tuple(notes))


def _first_requests(
    settings: RunSettings, caching: Caching, asked: Iterable[tuple[str, Row]]
) -> Iterator[tuple[str, bytes]]:
    build, name = builder_for(settings, caching.ttl), slug(settings.workflow)
    for position, (key, row) in enumerate(asked):
        yield wire_id(name, key, FIRST_ROUND, _NONCE, position), orjson.dumps(params_of(build, row))


def _first_asked(
    settings: RunSettings, documents: Iterable[SourceDocument], skipped: Counter[str]
) -> Iterator[tuple[str, Row]]:
    """Return what is asked about, with its answer key, as a row of `requests_to_send` tells it."""
    asked = set[str]()
    for document in documents:
        if document.text is None:
            skipped[document.skip_reason or ""] += 1
            continue
        content = document_hash(document.text, document.pdf)
        key = answer_key_at(document.path, content, settings.prompt, settings.model.name)
        if key in asked:
            # The same content is asked about once.
            continue
        asked.add(key)
        row: Row = {
            "path": document.path,
            "language": document.language,
            "content_hash": content,
            "body": document.text,
            "pdf": document.pdf,
            "max_tokens": settings.max_tokens,
            "variant": Variant.STANDARD,
            "part": None,
            "paused": None,
        }
        yield key, row


def next_round(ledger: Ledger, clock: Clock, workflow: str, run_id: int, limit: int | None) -> Preview:
    """Return what the next round of a run would send for what has failed up to now, and leave the ledger as it is.

    Args:
        ledger: where the run is; it is held while the remedies are decided, which is then taken back.
        clock: tells the time in UTC.
        workflow: the run's.
        run_id: the run.
        limit: at most so many requests; None: all.

    Raises:
        InputError: there is no such run of the workflow.
        HeldError: the run is held.
    """
    with ledger.connect() as connection, connection.transaction(force_rollback=True):
        lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if run["workflow"] != workflow:
            raise InputError(f"Run {run_id} is of the workflow {run['workflow']}: name that one instead of {workflow}.")
        if not goes_on(run):
            body, shown, _ = _written([], limit)
            return Preview(body, shown, (f"Nothing: run {run_id} {_why_over(run)}, so nothing more is sent for it.",))
        counts = resubmit_within(connection, run_id, LAST_ROUND).counts
        planned = plan_within(connection, clock(), run_id, LAST_ROUND)
        # All of it before anything is read, since a run that is held while a person pages through it stands still.
        body, shown, more = _written(_unsent_requests(connection, planned), limit)
        notes = [*_more(shown, more=more), *_told(counts), *_beside(connection, run)]
    if not shown:
        notes.insert(0, f"Nothing: no failure of run {run_id} would go again in a batch.")
    return Preview(body, shown, tuple(notes))


def _unsent_requests(connection: Connection, planned: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    batches = (unsent(connection, batch_id) for batch_id in planned)
    return chain.from_iterable(requests_of(connection, batch) for batch in batches if batch is not None)


def _told(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    for (cause, remedy), count in counts.most_common():
        yield f"{cause} -> {remedy}: {count}"


def _beside(connection: Connection, run: Row) -> Iterator[str]:
    """Say what goes no more in a batch, and what may still fail."""
    key = {"run_id": run["run_id"], "before": RESCUE_ROUND + 1, "round": RESCUE_ROUND, "synchronous": True}
    waiting = (connection.execute(sql("rescued"), key).fetchone() or {})["waiting"]
    last = Resubmission()
    decide(connection, run, key, last)
    again = waiting + sum(count for (_, remedy), count in last.counts.items() if remedy != Remedy.GIVE_UP)
    if again:
        yield f"{again} more go synchronously, at full price, since no round or no time is left for another batch."
    in_flight = (connection.execute(sql("requests_in_flight"), key).fetchone() or {})["count"]
    if in_flight:
        yield f"{in_flight} requests were sent and have no result yet: what fails of them comes on top."


def _why_over(run: Row) -> str:
    if run["canceled_at"] is not None:
        return "was canceled"
    if run["dry_run"]:
        return "is an estimate only"
    return "has not collected its documents yet" if run["state"] == "open" else f"is {run['state']}"


def _more(shown: int, *, more: bool) -> Iterator[str]:
    if more:
        yield f"The first {shown} requests; --limit 0 shows all."


def _written(requests: Iterable[tuple[str, bytes]], limit: int | None) -> tuple[IO[bytes], int, bool]:
    """Write a body, and return it with how many requests it holds and whether there are more."""
    remaining = iter(requests)
    shown = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal shown
        for request in islice(remaining, limit):
            shown += 1
            yield request

    body = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  whoever reads it closes it
    for piece in body_of(counted()):
        body.write(piece)
    body.seek(0)
    return body, shown, next(remaining, None) is not None
