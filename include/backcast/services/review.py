"""Reviews a diff while somebody waits: all files at once, streamed, and nothing waits for a batch or a ledger.

What comes of it is written to a ledger afterwards, by `review_record`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from backcast.anthropic_api.messages import RETRIES, AsyncClient, Lost, Refused, stream_message
from backcast.anthropic_api.structured import output_config
from backcast.anthropic_api.tries import Tries
from backcast.chunking import LineRange, shown
from backcast.domain.addressing import addressed_to_reviewer
from backcast.domain.diffs import Hunk, new_ranges, pieces, touched_lines
from backcast.domain.lines import split_lines
from backcast.domain.pace import Pace
from backcast.domain.pricing import Usage, synchronous_cost
from backcast.domain.reviews import NotReviewed, Review, ReviewFinding, ordered
from backcast.domain.workflow import digest
from backcast.prompt_templates import render
from backcast.services.acceptance import Judge, Verdict
from backcast.services.estimate import CostModel, shared_bytes, work_of_requests
from backcast.services.ingest import usage_of
from backcast.sources.changes import ChangedFile, Changes, read_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.workflow import RunSettings
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

# What a request shows of a file and of its diff together: small enough to be read in seconds.
_MOST_BYTES: Final = 32_000
_AT_ONCE: Final = 16
_ONLY_REMOVED: Final = "only lines that are removed, of which nothing can be quoted"
State: TypeAlias = Literal["unsent", "answered", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """What is asked about: a file, or hunks of it, as a request shows them; `lines` where these are not all."""

    file: ChangedFile
    hunks: tuple[Hunk, ...]
    text: str
    lines: tuple[int, int] | None

    @property
    def path(self) -> str:
        """Of the file."""
        return self.file.document.path

    @property
    def name(self) -> str:
        """The path, and the lines where there are several requests about it."""
        return NotReviewed(self.path, "", self.lines).where


@dataclass(frozen=True, slots=True)
class ReviewCall:
    """A request and how it ended.

    Attributes:
        request: what was asked.
        state: whether it was sent, and whether its end is known.
        note: why it has no answer; empty when it has.
        sent_at: when, in UTC; None when it was not.
        ended_at: the same.
        result: what came back, as the row of a batch would have it.
        verdict: whether that is an answer.
        usage: its tokens.
        cost_usd: what it cost.
        most_usd: the most that it can have cost, each time that it was sent.
        simulated: whether a simulator answered.
        lost: how often it was sent before, without a known end.
    """

    request: ReviewRequest
    state: State
    note: str
    most_usd: Decimal
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    result: dict[str, Any] | None = None
    verdict: Verdict | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: Decimal = Decimal(0)
    simulated: bool = False
    lost: int = 0

    @property
    def name(self) -> str:
        """Of the request."""
        return self.request.name

    @property
    def language(self) -> str:
        """Of the file."""
        return self.request.file.document.language

    @property
    def text(self) -> str:
        """What was asked."""
        return self.request.text

    @property
    def risked_usd(self) -> Decimal:
        """What it may have cost at most without a known end."""
        return self.most_usd * (self.lost + (self.state == "lost"))

    @property
    def unanswered(self) -> NotReviewed | None:
        """Why it gives no findings; None when it has an answer."""
        if self.verdict is not None and self.verdict.answer is not None:
            return None
        reason = f"{self.verdict.cause}: {self.verdict.detail}" if self.verdict else self.note
        return NotReviewed(self.request.path, reason, self.request.lines)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review, and all that was asked for it."""

    review: Review
    calls: tuple[ReviewCall, ...]
    opened_at: datetime

    @property
    def repository(self) -> str:
        """A path, or a URL without credentials."""
        return self.review.repository

    @property
    def commit(self) -> str:
        """Of the head, a full commit id."""
        return self.review.commit

    @property
    def simulated(self) -> bool:
        """Whether a simulator answered."""
        return self.review.simulated

    @property
    def left_out(self) -> tuple[NotReviewed, ...]:
        """What is not reviewed at all, such as binaries."""
        return self.review.left_out


def review_changes(  # noqa: PLR0913  a service is given its API and clock
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    *,
    base: str,
    cache: Path,
    timeout: timedelta,
    pause: Pause = asyncio.sleep,
) -> Reviewed:
    """Review what the head, `settings.ref`, changes since it left `base`; takes `timeout` at most, git aside.

    What has no answer by then, costs more than the budget of the run, or is answered in a way that cannot be accepted,
    is listed with its reason; a finding about lines that the diff does not touch is left out.

    Args:
        api: who answers.
        clock: tells the time in UTC.
        settings: the workflow's, with the repository and the head.
        base: the branch, tag or commit that it is to be merged into.
        cache: where clones of remote repositories are kept.
        timeout: how long it may take.
        pause: waits for so many seconds, when the rate allows no more.

    Raises:
        InputError: there is no such repository or commit, or git cannot read it.
    """
    opened_at, started = clock(), time.monotonic()
    changes = read_changes(settings.repository, base, settings.ref, cache=cache, selection=settings.selection)
    planned = [request for file in changes.files for request in _requests(file, settings)]
    requests = [request for request in planned if new_ranges(request.hunks)]
    removed = [NotReviewed(one.path, _ONLY_REMOVED, one.lines) for one in planned if not new_ranges(one.hunks)]
    calls = tuple(asyncio.run(_Asking(api, clock, settings, timeout, pause).all(requests))) if requests else ()
    review = _review(settings, changes, calls, removed, time.monotonic() - started)
    return Reviewed(review, calls, opened_at)


def _requests(file: ChangedFile, settings: RunSettings) -> Iterator[ReviewRequest]:
    packed = pieces(file.hunks, _MOST_BYTES)
    prompt, document = render(settings.prompt), file.document
    text = document.text or ""
    for hunks in packed:
        ranges = new_ranges(hunks)
        numbered = shown(text, [LineRange(*lines) for lines in ranges])
        diff = "\n".join(hunk.text for hunk in hunks)
        # Of all that is shown: an old side could hold the hash of a new one.
        fence = digest(document.path, numbered, diff)
        yield ReviewRequest(
            file=file,
            hunks=hunks,
            text=prompt.shown(document.path, document.language, fence, numbered, diff),
            lines=(ranges[0][0], ranges[-1][1]) if ranges and len(packed) > 1 else None,
        )


class _Asking:
    """Asks about all files of one review at once, no faster than the rate and no longer than the time allows."""

    def __init__(
        self, api: MessageBatchesApi, clock: Clock, settings: RunSettings, timeout: timedelta, pause: Pause
    ) -> None:
        self._api, self._clock, self._settings, self._pause = api, clock, settings, pause
        self._timeout, self._until = timeout, time.monotonic() + timeout.total_seconds()
        self._judge = Judge(settings.prompt.answer_schema)
        self._costs = CostModel(settings.model, settings.prompt)
        self._shared_bytes = shared_bytes(settings.prompt)
        self._pace = Pace(settings.rescue.rate, time.monotonic())
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._left_usd = settings.budget.run
        self._no_access = ""

    async def all(self, requests: Sequence[ReviewRequest]) -> list[ReviewCall]:
        """Return how each request ended, in their order."""
        client = await self._api.connect()
        try:
            return await asyncio.gather(*(self._one(client, request) for request in requests))
        finally:
            await client.close()

    async def _one(self, client: AsyncClient, request: ReviewRequest) -> ReviewCall:
        size = len(request.text.encode())
        most = self._costs.most_usd(size, self._settings.max_tokens, synchronous=True)
        if self._left_usd is not None:
            if most > self._left_usd:
                budget = f"budget: the US$ {self._settings.budget.run:f} of this review does not cover this request"
                return ReviewCall(request, "unsent", budget, most)
            self._spend(most)
        try:
            async with asyncio.timeout(self._seconds_left()):
                await self._room.acquire()
        except TimeoutError:
            return ReviewCall(request, "unsent", self._too_late(), most)
        try:
            wait = self._pace.wait(work_of_requests(1, size, self._shared_bytes), time.monotonic())
            if wait > self._seconds_left():
                return ReviewCall(request, "unsent", self._too_late(), most)
            if wait > 0:
                await self._pause(wait)
            if self._no_access:
                return ReviewCall(request, "unsent", self._no_access, most)
            return await self._call(client, request, most)
        finally:
            self._room.release()

    def _too_late(self) -> str:
        return f"the rate allowed no request within the {self._timeout.total_seconds():g} s of this review"

    async def _call(self, client: AsyncClient, request: ReviewRequest, most: Decimal) -> ReviewCall:
        sent_at = self._clock()
        again, tries = self._covered(most), Tries()
        tries.begin(1 + again)
        self._spend(again * most)
        reply = await stream_message(client, self._params(request), timedelta(seconds=self._seconds_left()), tries)
        self._spend((tries.lost - again) * most)
        ended_at = self._clock()
        if isinstance(reply, Refused):
            self._no_access = self._no_access if reply.passing else reply.why
            return ReviewCall(request, "refused", reply.why, most, sent_at, ended_at, lost=tries.lost)
        if isinstance(reply, Lost):
            return ReviewCall(request, "lost", reply.why, most, sent_at, ended_at, lost=tries.lost)
        message = reply.result.get("message") or {}
        usage = usage_of(message)
        return ReviewCall(
            request,
            "answered",
            "",
            most,
            sent_at,
            ended_at,
            reply.result,
            self._judge.verdict(reply.result, request.file.document.text or ""),
            usage,
            synchronous_cost(self._settings.model, usage),
            reply.simulated,
            tries.lost,
        )

    def _covered(self, most: Decimal) -> int:
        """Return how often a request that can cost so much may be sent again without a known end."""
        return RETRIES if self._left_usd is None or not most else min(RETRIES, int(self._left_usd // most))

    def _spend(self, usd: Decimal) -> None:
        if self._left_usd is not None:
            self._left_usd -= usd

    def _params(self, request: ReviewRequest) -> dict[str, Any]:
        settings = self._settings
        structured = output_config(settings.prompt.answer_schema) if settings.structured else {}
        return {
            "model": settings.model.name,
            "max_tokens": settings.max_tokens,
            "system": [{"type": "text", "text": render(settings.prompt).system}],
            **structured,
            "messages": [{"role": "user", "content": request.text}],
        }

    def _seconds_left(self) -> float:
        return max(0.001, self._until - time.monotonic())


def _review(
    settings: RunSettings,
    changes: Changes,
    calls: Sequence[ReviewCall],
    removed: Sequence[NotReviewed],
    seconds: float,
) -> Review:
    told = [finding for call in calls for finding in _findings(call)]
    touching = [finding for finding, touches in told if touches]
    suspicious = (
        finding for file in changes.files for finding in addressed_to_reviewer(file.document.path, file.hunks)
    )
    left_out = [NotReviewed(path, reason) for path, reason in changes.left_out]
    return Review(
        repository=changes.repository,
        base=changes.base,
        head=changes.head,
        merge_base=changes.merge_base,
        commit=changes.commit,
        model=settings.model.name,
        prompt=settings.prompt.version,
        simulated=any(call.simulated for call in calls),
        files=len({call.request.path for call in calls}),
        findings=ordered([*touching, *suspicious]),
        left_out=(*left_out, *removed),
        unanswered=tuple(missing for call in calls if (missing := call.unanswered) is not None),
        unchanged=len(told) - len(touching),
        requests=sum(call.state != "unsent" for call in calls),
        cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
        risked_usd=sum((call.risked_usd for call in calls), Decimal(0)),
        seconds=seconds,
    )


def _findings(call: ReviewCall) -> Iterator[tuple[ReviewFinding, bool]]:
    """Yield what an accepted answer found, and whether it is about lines that the diff touches."""
    answer = call.verdict.answer if call.verdict else None
    last = len(split_lines(call.request.file.document.text or ""))
    touched = {min(max(1, number), last) for number in touched_lines(call.request.hunks)}
    for finding in (answer or {}).get("findings", []):
        lines = range(finding["line_start"], finding["line_end"] + 1)
        yield ReviewFinding.told(call.request.path, finding), not touched.isdisjoint(lines)
