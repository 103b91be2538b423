"""One simulated API: its settings, its state and what its calls do. The HTTP shell is in `app`."""

from __future__ import annotations

import datetime as dt
import secrets
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from backcast_simulator.answers import Answerer, message, reply
from backcast_simulator.bill import Charge, batch_charges, statement
from backcast_simulator.catalogue import MODELS
from backcast_simulator.core import Batch, Batches, Request, rfc3339
from backcast_simulator.errors import invalid, not_found
from backcast_simulator.faults import BATCH_KINDS, KINDS_AFTER_THE_END, Fault, Faults
from backcast_simulator.intake import Pair, take_in
from backcast_simulator.limits import LIMITS, Allowance, RateLimit, queue_error, spend_limit_error
from backcast_simulator.rows import lines
from backcast_simulator.rules import Rule, parse_rules, view_of_rule
from backcast_simulator.settings import DEFAULT_WORKSPACE, Readings, Settings, change_settings
from backcast_simulator.storage import Store
from backcast_simulator.synchronous import Answered, accepted, answered, counted
from backcast_simulator.validation import FIRST_VERSION_WITHOUT_SAMPLING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from backcast_simulator.catalogue import CachedTokens
    from backcast_simulator.clock import Clock

__all__ = ["CallHeaders", "Settings", "Simulator", "page_view", "require_model_name"]

_CALLS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class CallHeaders:
    """What a call's headers say about how its body is to be read."""

    version: str
    betas: frozenset[str] = frozenset()


class Simulator:
    """The API behind the routes. Its methods may be called from several threads at once."""

    def __init__(
        self, clock: Clock, answerer: Answerer, settings: Settings | None = None, store: Store | None = None
    ) -> None:
        self.clock = clock
        self.settings = settings or Settings()
        self.faults = Faults()
        self.calls: deque[dict[str, Any]] = deque(maxlen=_CALLS_REMEMBERED)
        self._store = store or Store()
        self._answerer = answerer
        self._batches = Batches(self.settings.odds, self._store)
        self._batches.rules = parse_rules(self._store.noted("rules") or [])
        self._batches.needs_example = self.settings.needs_example
        self._synchronous = [Charge(**charge) for charge in self._store.entries("charges")]
        self._costs_of_ended: dict[str, float] = {}
        self._rate = None if self.settings.tier is None else RateLimit(LIMITS[self.settings.tier].calls_a_minute)
        messages = self.settings.messages_per_minute
        self._message_rate = None if messages is None else RateLimit(messages)
        self._lock = threading.RLock()
        self._store.note("clock", clock.kept())

    def create(
        self, body: bytes | bytearray, headers: CallHeaders, base_url: str, workspace: str = DEFAULT_WORKSPACE
    ) -> dict[str, Any]:
        """Accept a batch; returns the MessageBatch."""
        self._require_spend_left()
        batch = self._accept(take_in(body), headers, workspace)
        return batch.view(batch.created_at, base_url, self.readings)

    def _accept(
        self, pairs: Collection[Pair], headers: CallHeaders, workspace: str, *, stranger: bool = False
    ) -> Batch:
        self._require_room_in_queue(len(pairs))
        batch_id = f"msgbatch_simulator_{secrets.token_hex(12)}"
        requests = self._batches.prepare(batch_id, pairs, headers.version, headers.betas)
        with self._lock:
            now = self.clock.now()
            batch = Batch(batch_id, now, requests, workspace, stranger)
            for fault in [] if stranger else self.faults.take_for_batch():
                fault.befall(batch, now)
            return self._batches.register(batch)

    def _require_room_in_queue(self, requests: int) -> None:
        tier = self.settings.tier
        if tier is None:
            return
        with self._lock:
            now = self.clock.now()
            waiting = sum(batch.settle(now).unfinished(now) for batch in self._batches.all())
        if waiting + requests > LIMITS[tier].queued_requests:
            raise queue_error(tier)

    def _require_spend_left(self) -> None:
        limit = self.settings.spend_limit
        if limit is not None and self._spent() >= limit.usd:
            raise spend_limit_error(limit.kind)

    def _spent(self) -> float:
        with self._lock:
            now, batches, synchronous = self.clock.now(), self._own_batches(), list(self._synchronous)
        return sum(charge.cost_usd for charge in synchronous) + sum(self._cost(batch, now) for batch in batches)

    def _cost(self, batch: Batch, now: dt.datetime) -> float:
        known = self._costs_of_ended.get(batch.id)
        if known is not None:
            return known
        cost = sum(charge.cost_usd for charge in batch_charges([batch], self._answerer, now))
        if batch.status(now) == "ended":
            self._costs_of_ended[batch.id] = cost
        return cost

    def _own_batches(self) -> list[Batch]:
        now = self.clock.now()
        return [batch.settle(now) for batch in self._batches.all() if not batch.stranger]

    def add_strangers(self, requests: int, count: int, workspace: str = DEFAULT_WORKSPACE) -> list[str]:
        """Let somebody else create batches in this workspace; returns their ids. They are not on the bill."""
        headers = CallHeaders(FIRST_VERSION_WITHOUT_SAMPLING)
        params = {"model": next(iter(MODELS)), "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
        pairs = [(f"stranger-{number}", params) for number in range(requests)]
        return [self._accept(pairs, headers, workspace, stranger=True).id for _ in range(count)]

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force, in place of all others; those that name a batch of theirs happen at once."""
        waiting = []
        for fault in faults:
            if fault.kind in BATCH_KINDS and fault.batch is not None:
                self._befall(fault)
            else:
                waiting.append(fault)
        self.faults.set(waiting)

    def _befall(self, fault: Fault) -> None:
        with self._lock:
            batch = next((batch for batch in self._batches.all() if batch.id == fault.batch), None)
            if batch is None:
                raise not_found(f"Message batch {fault.batch} not found.")
            now = self.clock.now()
            if batch.settle(now).status(now) == "ended" and fault.kind not in KINDS_AFTER_THE_END:
                raise invalid(f"faults: {fault.kind} cannot happen to batch {batch.id}: its processing has ended.")
            fault.befall(batch, now)
            self._batches.save(batch)

    def retrieve(self, batch_id: str, base_url: str, workspace: str = DEFAULT_WORKSPACE) -> dict[str, Any]:
        """The MessageBatch with this id."""
        with self._lock:
            now = self.clock.now()
            return self._batches.get(batch_id, now, workspace).view(now, base_url, self.readings)

    def cancel(self, batch_id: str, base_url: str, workspace: str = DEFAULT_WORKSPACE) -> dict[str, Any]:
        """Initiate cancellation; returns the MessageBatch."""
        with self._lock:
            now = self.clock.now()
            return self._batches.cancel(batch_id, now, workspace, self.readings).view(now, base_url, self.readings)

    def delete(self, batch_id: str, workspace: str = DEFAULT_WORKSPACE) -> dict[str, Any]:
        """Delete an ended batch."""
        with self._lock:
            self._batches.delete(batch_id, self.clock.now(), workspace)
        return {"id": batch_id, "type": "message_batch_deleted"}

    def page(
        self, limit: int, after_id: str | None, before_id: str | None, base_url: str, workspace: str = DEFAULT_WORKSPACE
    ) -> dict[str, Any]:
        """One page of MessageBatches, newest first."""
        with self._lock:
            now = self.clock.now()
            batches, more = self._batches.page(limit, after_id, before_id, now, workspace)
            return page_view([batch.view(now, base_url, self.readings) for batch in batches], has_more=more)

    def results(
        self, batch_id: str, workspace: str = DEFAULT_WORKSPACE, fault: dict[str, Any] | None = None
    ) -> Iterator[bytes]:
        """The result rows of an ended batch as JSON lines, in parts; each answer is written when its row is due."""
        with self._lock:
            now = self.clock.now()
            batch, parts = self._batches.results(batch_id, now, workspace, self.readings)
        return lines(parts, lambda request: self._row(batch, request, now), fault)

    def _row(self, batch: Batch, request: Request, now: dt.datetime) -> dict[str, Any]:
        return {"custom_id": request.custom_id, "result": self._result(batch, request, now)}

    def _result(self, batch: Batch, request: Request, now: dt.datetime) -> dict[str, Any]:
        outcome = batch.outcome(request, now)
        script = request.fate.script
        if outcome == "errored" and script is not None and script.outcome == "unknown_result":
            return {"type": script.result_type}
        if outcome == "errored" and request.fate.error is not None:
            named = self.readings.error_request_id == "workerreq"
            worker = f"workerreq_simulator_{request.params_sha256[:24]}" if named else None
            return {"type": "errored", "error": request.fate.error.envelope(worker)}
        if outcome != "succeeded":
            return {"type": outcome}
        answer = reply(request.params, script, self._answerer, self.readings.enum_casing)
        names = (batch.id, request.custom_id)
        return {"type": "succeeded", "message": message(request.params, answer, names, "batch", request.cached)}

    def answer(self, body: bytes | bytearray, headers: CallHeaders, workspace: str = DEFAULT_WORKSPACE) -> Answered:
        """Answer one message at once."""
        self._require_spend_left()
        params = accepted(body, headers.version)
        with self._lock:
            rule = self._batches.rule_for(params)
        casing = self.readings.enum_casing
        answer = answered(params, rule, self._answerer, lambda: self._use_cache(params, workspace), casing)
        with self._lock:
            self._synchronous.append(answer.charge)
            self._store.append("charges", asdict(answer.charge))
        return answer

    def _use_cache(self, params: dict[str, Any], workspace: str) -> CachedTokens:
        with self._lock:
            return self._batches.use_cache(params, self.clock.now(), workspace)

    def count_tokens(self, body: bytes | bytearray, headers: CallHeaders) -> dict[str, Any]:
        """An estimate of a prompt's length in tokens."""
        return {"input_tokens": counted(body, headers.version)}

    def bill(self) -> dict[str, Any]:
        """What would have been charged up to now, by request and in total."""
        with self._lock:
            now, batches, synchronous = self.clock.now(), self._own_batches(), list(self._synchronous)
        return statement([*batch_charges(batches, self._answerer, now), *synchronous])

    def health(self) -> dict[str, Any]:
        """That the simulator runs, what time it is there and how many batches it holds."""
        with self._lock:
            count = len(self._batches.all())
        return {"status": "ok", "simulator": True, "now": rfc3339(self.clock.now()), "batches": count}

    def rules(self) -> list[Rule]:
        """The rules in force."""
        return list(self._batches.rules)

    def set_rules(self, rules: list[Rule]) -> None:
        """Put these rules in force, in place of all others, for requests that come in from now on."""
        with self._lock:
            self._batches.rules = list(rules)
            self._store.note("rules", [view_of_rule(rule) for rule in rules])

    @property
    def readings(self) -> Readings:
        """How the contract is read now."""
        return self.settings.readings

    def change_settings(self, changes: object) -> Settings:
        """Read the contract in another way from now on, or let other languages need an example."""
        with self._lock:
            self.settings = change_settings(self.settings, changes)
            self._batches.needs_example = self.settings.needs_example
            return self.settings

    def advance(self, seconds: float) -> dt.datetime:
        """Move the clock on; returns the time that it shows then."""
        with self._lock:
            self.clock.advance(dt.timedelta(seconds=seconds))
            self._store.note("clock", self.clock.kept())
            return self.clock.now()

    def allowance(self) -> Allowance | None:
        """Count one call of a batch endpoint against the rate limit; None when there is no limit."""
        return None if self._rate is None else self._rate.take(self.clock.now())

    def message_allowance(self) -> Allowance | None:
        """Count one synchronous message against its rate limit; None when there is no limit."""
        return None if self._message_rate is None else self._message_rate.take(self.clock.now())

    def log(self, call: dict[str, Any]) -> None:
        """Remember a call."""
        self.calls.append(call)

    def close(self) -> None:
        """Close the file that the state is kept in."""
        self._store.note("clock", self.clock.kept())
        self._store.close()


def page_view(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page as the API lists things."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": has_more, "first_id": first, "last_id": last}


def require_model_name(name: str, known: dict[str, Any]) -> None:
    """A 404 in the API's words when no model has this name."""
    if name not in known:
        raise not_found(f"model: {name}")
