"""Scores a version of a prompt: answers a sample synchronously, each document once, in the shape that a batch sends."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import orjson
import psycopg

from backcast.domain.errors import InputError
from backcast.domain.golden import LabelledDocument, compare, total
from backcast.domain.scores import Found, SampledAnswer, Scores
from backcast.domain.workflow import answer_key_at, digest, document_hash
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in
from backcast.ledger.runs import find_run, insert_run, load_run, lock_run, prompt_of_row
from backcast.services.acceptance import parse_answer
from backcast.services.budget import reserve
from backcast.services.caching import settle_caching
from backcast.services.claims import take_over
from backcast.services.estimate import pdf_bytes, prompt_bytes
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on
from backcast.services.open_run import kept_name
from backcast.services.publish import require_answers, settle
from backcast.services.rescue import rescue
from backcast.services.rounds import FIRST_ROUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi, Preflight
    from backcast.domain.workflow import RunSettings
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

# What a sample has claimed and not asked for by then is free for others: whoever scored it is dead.
SCORED_WITHIN: Final = timedelta(hours=1)
_WAIT_FOR_ANOTHER_SECONDS: Final = 2.0
_SHOWN_CHARACTERS: Final = 300
_NAMED_DIGITS: Final = 24
_NUMBER: Final = re.compile(r" #(\d+)\Z")


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """A document of a sample: what a request calls it, its format, its text; `labelled` says what is to be found.

    Of a PDF, `pdf` is the file, and the text its text layer.
    """

    path: str
    language: str
    text: str
    labelled: LabelledDocument | None = None
    pdf: bytes | None = None

    @property
    def content_hash(self) -> str:
        """The identity of its content."""
        return document_hash(self.text, self.pdf)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a version of a prompt has shown on a sample.

    Attributes:
        run_id: the ledger's run that holds the answers.
        version: the prompt's version.
        prompt_hash: its identity.
        scores: of the documents that were answered here, or whose answer was known.
        reused: how many answers were known.
        found: of each labelled document what was found in it, by its path.
        answered: of those that have an answer, whatever it is worth, the same.
        left_out: the documents that another run was asking about, whose answer was not waited for.
        simulated: whether a simulator answered.
    """

    run_id: int
    version: str
    prompt_hash: str
    scores: Scores
    reused: int
    found: Mapping[str, Found] = field(default_factory=dict)
    answered: Mapping[str, Found] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    simulated: bool = False


def score(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    sample: Sequence[SampleDocument],
    *,
    external_key: str,
    pause: Pause = asyncio.sleep,
    stop_at: datetime | None = None,
) -> Scored:
    """Answer a sample with a version of a prompt, each document at most once, and return what that has shown.

    Called again with the same key, after whatever ended it, it goes on: what has an answer is not asked for again, what
    was in flight at a death may be paid twice, and nothing is asked for once the sample is scored. First attempts only:
    what fails does not go again. An accepted answer to a document of a repository counts for later runs too; what
    another run asks for just now is left out. Labelled documents keep their answers to themselves.

    Args:
        ledger: where the answers are kept.
        api: who answers.
        clock: tells the time in UTC.
        settings: the workflow's, with the prompt and the model that are to be scored; its budget holds.
        sample: the documents, each with a path of its own.
        external_key: names the sample; the same key always gets the same answers.
        pause: waits for so many seconds, between calls.
        stop_at: no call is begun after this moment.

    Raises:
        InDoubtError: by `stop_at` not all is answered; a later call goes on.
        InputError: two documents have the same path, or the key is that of another sample, prompt or model.
        ApiError: the API cannot be reached, does not take the key, or there is no money; a later call goes on.
        HeldError: somebody holds the run.
    """
    _require_own_paths(sample)
    run_id = _begun(ledger, api, clock, settings, sample, external_key)
    while (
        rescue(ledger, api, clock, run_id, final=False, pause=pause, stop_at=stop_at).waiting
        and _goes_on(ledger, run_id)
        and (stop_at is None or clock() < stop_at)
    ):
        # Another process answers the same sample just now.
        asyncio.run(_wait(pause))
    with ledger.transaction() as connection:
        if lock_run(connection, run_id) != "scored":
            _close(connection, run_id)
        scored = _scored(connection, load_run(connection, run_id), sample)
    reached(FaultPoint.PUBLISH_COMMITTED)
    return scored


def next_key(ledger: Ledger, name: str) -> str:
    """Return the external key for a sample of this name: that of its last run, unless a new run can show more.

    A new run can when documents of the last one stay without an answer: for want of money or time, since it was
    canceled, or since another run was asking for them. What it has answers to is then reused.
    """
    with ledger.connect() as connection:
        last = connection.execute(sql("last_sample"), {"name": name}).fetchone()
    if last is None:
        return f"{name} #1"
    key: str = last["external_key"]
    number = _NUMBER.search(key)
    return f"{name} #{int(number[1]) + 1}" if last["incomplete"] and number else key


def sampled_answers(connection: Connection, run_id: int) -> Iterator[tuple[SampledAnswer, Row]]:
    """Yield what became of each document of a run's sample at its first attempt, with its row, in order.

    Left out is what the run does not ask for, since another one does. A row has `path`, `state`, `reused`,
    `left_because`, `prompt_bytes` and `raw`, a result as JSON text, which is None where there is none.
    """
    for row in connection.execute(sql("sampled_answers"), {"run_id": run_id}):
        if not row["elsewhere"]:
            yield _answer(row), row


def sample_hash(sample: Sequence[SampleDocument]) -> str:
    """Return the identity of a sample: of its documents, in any order, but not of what is to be found in them."""
    return digest(
        *sorted(digest(one.path, one.language, *_content_of(one), "labelled" if one.labelled else "") for one in sample)
    )


def _content_of(document: SampleDocument) -> Iterator[str]:
    yield document.text
    if document.pdf is not None:
        yield document.content_hash


def sample_name(api: MessageBatchesApi, settings: RunSettings, sample: Sequence[SampleDocument]) -> str:
    """Return a name, for `next_key`, that is the same as long as the answers to a sample can be."""
    shape = (settings.prompt.prompt_hash, settings.model.name, str(settings.max_tokens), str(settings.structured))
    of = digest(api.base_url, *shape, sample_hash(sample))
    return f"{settings.workflow} {settings.prompt.version} {of[:_NAMED_DIGITS]}"


def _require_own_paths(sample: Sequence[SampleDocument]) -> None:
    paths = [document.path for document in sample]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"Two documents of the sample are called {twice!r}: give each a path of its own.")


def _begun(  # noqa: PLR0913, PLR0917  as `score`
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    sample: Sequence[SampleDocument],
    external_key: str,
) -> int:
    """Return the run of a sample, opening it the first time; one that was begun before gets its time anew."""
    with ledger.connect() as connection:
        known = find_run(connection, external_key)
    reached(FaultPoint.OPEN_BEFORE_PREFLIGHT)
    preflight = None if known else _preflight(api, settings.model.name)
    reached(FaultPoint.OPEN_PREFLIGHTED)
    with ledger.transaction() as connection:
        run_id = known or _open(connection, api, clock, settings, preflight, external_key)
        state = lock_run(connection, run_id)
        run = load_run(connection, run_id)
        if state == "open":
            _collect(connection, clock, run, sample)
        else:
            _require_same(run, settings, sample)
            _resume(connection, clock(), run_id)
        reached(FaultPoint.COLLECT_BEFORE_COMMIT)
    reached(FaultPoint.COLLECT_COMMITTED)
    return run_id


def _preflight(api: MessageBatchesApi, model: str) -> Preflight:
    try:
        return api.preflight(model)
    except InputError:
        # That there is no such model is then what the scores show, as they show all else that cannot be answered.
        return api.look()


def _open(  # noqa: PLR0913, PLR0917  as `score`
    connection: Connection,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    preflight: Preflight | None,
    external_key: str,
) -> int:
    structured = settings.structured and preflight is not None and preflight.structured_outputs
    own = replace(settings, kind="sample", structured=structured, sla=SCORED_WITHIN, deadline=None, dry_run=False)
    return insert_run(
        connection,
        own,
        external_key=external_key,
        repository=kept_name(settings.repository, settings.source),
        simulated=preflight is not None and preflight.simulated,
        base_url=api.base_url,
        opened_at=clock(),
    )


def _collect(connection: Connection, clock: Clock, run: Row, sample: Sequence[SampleDocument]) -> None:
    key = {"run_id": run["run_id"]}
    connection.execute(sql("create_collected"))
    copy_in(connection, "copy_collected", _rows(run, sample))
    connection.execute(sql("store_contents"))
    connection.execute(sql("store_documents"), key)
    take_over(connection, clock, run["run_id"])
    connection.execute(sql("reuse_answers"), key)
    connection.execute(sql("create_sample_requests"), {**key, "round": FIRST_ROUND})
    settle_caching(connection, run)
    reserve(connection, load_run(connection, run["run_id"]))
    values = {"commit_id": sample_hash(sample), "committed_at": run["opened_at"], "estimated_usd": None}
    connection.execute(sql("finish_collecting"), key | values)


def _rows(run: Row, sample: Sequence[SampleDocument]) -> Iterator[tuple[object, ...]]:
    prompt = prompt_of_row(run)
    for position, document in enumerate(sample):
        content = document.content_hash
        key = answer_key_at(document.path, content, prompt, run["model"])
        if document.labelled is not None:
            # A repository may hold a labelled document too, and must neither keep it from being scored nor wait for it.
            key = digest(content, run["prompt_hash"], run["model"], "labelled")
        size = len(document.pdf or document.text.encode())
        shown = prompt_bytes(document.text) if document.pdf is None else pdf_bytes(document.text)
        about = (document.path, document.language, size, content, key, None, document.text)
        yield *about, position, shown, document.pdf


def _require_same(run: Row, settings: RunSettings, sample: Sequence[SampleDocument]) -> None:
    asked = (settings.prompt.prompt_hash, settings.model.name, sample_hash(sample))
    if run["kind"] != "sample" or (run["prompt_hash"], run["model"], run["commit_id"]) != asked:
        raise InputError(
            f"{run['external_key']!r} names run {run['run_id']}, which is of another sample, prompt or model: give "
            "this one a key of its own."
        )


def _resume(connection: Connection, now: datetime, run_id: int) -> None:
    key = {"run_id": run_id}
    connection.execute(sql("extend_sample"), {**key, "deadline": now + SCORED_WITHIN})
    # Another run may be faster, which then has it.
    with suppress(psycopg.errors.UniqueViolation), connection.transaction():
        connection.execute(sql("reclaim_sample"), key)


def _goes_on(ledger: Ledger, run_id: int) -> bool:
    with ledger.connect() as connection:
        return goes_on(load_run(connection, run_id))


async def _wait(pause: Pause) -> None:
    await pause(_WAIT_FOR_ANOTHER_SECONDS)


def _close(connection: Connection, run_id: int) -> None:
    key = {"run_id": run_id}
    require_answers(connection, run_id)
    settle(connection, run_id)
    totals = connection.execute(sql("totals_of_run"), key).fetchone() or {}
    connection.execute(sql("close_sample"), key | totals)


def _scored(connection: Connection, run: Row, sample: Sequence[SampleDocument]) -> Scored:
    answers = list(sampled_answers(connection, run["run_id"]))
    labelled = {one.path: one.labelled for one in sample if one.labelled is not None}
    schema = orjson.loads(run["answer_schema"])
    found = {
        row["path"]: _found(document, row, schema)
        for _, row in answers
        if (document := labelled.get(row["path"])) is not None
    }
    there = {row["path"] for _, row in answers}
    judged = {row["path"] for _, row in answers if row["state"] != "open"}
    return Scored(
        run_id=run["run_id"],
        version=run["prompt_version"],
        prompt_hash=run["prompt_hash"],
        scores=Scores(tuple(answer for answer, _ in answers), total(found.values()) if found else None),
        reused=sum(row["reused"] for _, row in answers),
        found=found,
        answered={path: found[path] for path in found if path in judged},
        left_out=tuple(one.path for one in sample if one.path not in there),
        simulated=run["simulated"],
    )


def _found(document: LabelledDocument, row: Row, schema: object) -> Found:
    if row["state"] != "accepted":
        return compare(document, None)
    return compare(document, parse_answer(orjson.loads(row["raw"])["message"], schema)["findings"])


def _answer(row: Row) -> SampledAnswer:
    accepted = row["state"] == "accepted"
    return SampledAnswer(
        path=row["path"],
        language=row["language"],
        accepted=accepted,
        cause=row["cause"],
        detail=None if accepted else row["detail"] or row["left_because"] or row["reason"],
        shown=None if accepted or row["raw"] is None else _beginning(orjson.loads(row["raw"])),
        input_tokens=row["input_tokens"] or 0,
        output_tokens=row["output_tokens"] or 0,
        seconds=row["seconds"],
        cost_usd=row["cost_usd"] or Decimal(0),
    )


def _beginning(result: dict[str, Any]) -> str | None:
    """Return how the text of an answer begins; None when it has none."""
    blocks = (result.get("message") or {}).get("content") or ()
    text = "".join(block.get("text") or "" for block in blocks)
    return text[:_SHOWN_CHARACTERS] or None
