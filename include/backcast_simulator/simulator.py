"""One simulated API: its settings, its state and what its calls do. The HTTP shell is in `app`."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.answers import Answerer, message, reply
from backcast_simulator.bill import Charge, batch_charges, statement, synchronous_charge
from backcast_simulator.core import Batch, Batches, Request, rfc3339
from backcast_simulator.errors import ApiError, Problem, not_found, of_type
from backcast_simulator.faults import Faults
from backcast_simulator.outcomes import Odds, Rule, scripted_error
from backcast_simulator.prompts import input_tokens
from backcast_simulator.validation import batch_requests, params_problem, parse_json, prompt_problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from backcast_simulator.clock import Clock

_CALLS_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a simulator behaves; no `api_keys` means that any key will do."""

    odds: Odds = field(default_factory=Odds)
    api_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallHeaders:
    """What a call's headers say about how its body is to be read."""

    version: str
    betas: frozenset[str] = frozenset()


class Simulator:
    """The API behind the routes. Its methods may be called from several threads at once."""

    def __init__(self, clock: Clock, answerer: Answerer, settings: Settings) -> None:
        self.clock = clock
        self.settings = settings
        self.faults = Faults()
        self.calls: deque[dict[str, Any]] = deque(maxlen=_CALLS_REMEMBERED)
        self._answerer = answerer
        self._batches = Batches(settings.odds)
        self._synchronous: list[Charge] = []
        self._lock = threading.Lock()

    def create(self, body: bytes, headers: CallHeaders, base_url: str) -> dict[str, Any]:
        """Accept a batch; returns the MessageBatch."""
        pairs = batch_requests(parse_json(body))
        with self._lock:
            now = self.clock.now()
            batch_id = f"msgbatch_simulator_{secrets.token_hex(12)}"
            batch = self._batches.create(batch_id, pairs, now, version=headers.version, betas=headers.betas)
        return batch.view(now, base_url)

    def retrieve(self, batch_id: str, base_url: str) -> dict[str, Any]:
        """The MessageBatch with this id."""
        with self._lock:
            return self._batches.get(batch_id).view(self.clock.now(), base_url)

    def cancel(self, batch_id: str, base_url: str) -> dict[str, Any]:
        """Initiate cancellation; returns the MessageBatch."""
        with self._lock:
            now = self.clock.now()
            return self._batches.cancel(batch_id, now).view(now, base_url)

    def delete(self, batch_id: str) -> dict[str, Any]:
        """Delete an ended batch."""
        with self._lock:
            self._batches.delete(batch_id, self.clock.now())
        return {"id": batch_id, "type": "message_batch_deleted"}

    def page(self, limit: int, after_id: str | None, before_id: str | None, base_url: str) -> dict[str, Any]:
        """One page of MessageBatches, newest first."""
        with self._lock:
            now = self.clock.now()
            batches, more = self._batches.page(limit, after_id, before_id)
            return page_view([batch.view(now, base_url) for batch in batches], has_more=more)

    def results(self, batch_id: str) -> Iterator[bytes]:
        """The result rows of an ended batch as JSON lines; each answer is written when its row is due."""
        with self._lock:
            now = self.clock.now()
            batch, requests = self._batches.results(batch_id, now)
        return (orjson.dumps(self._row(batch, request, now)) + b"\n" for request in requests)

    def _row(self, batch: Batch, request: Request, now: dt.datetime) -> dict[str, Any]:
        return {"custom_id": request.custom_id, "result": self._result(batch, request, now)}

    def _result(self, batch: Batch, request: Request, now: dt.datetime) -> dict[str, Any]:
        outcome = batch.outcome(request, now)
        if outcome == "errored" and request.fate.error is not None:
            return {"type": "errored", "error": request.fate.error.envelope(None)}
        if outcome != "succeeded":
            return {"type": outcome}
        answer = reply(request.params, request.fate.script, self._answerer)
        names = (batch.id, request.custom_id)
        return {"type": "succeeded", "message": message(request.params, answer, names, "batch")}

    def answer(self, body: bytes, headers: CallHeaders) -> dict[str, Any]:
        """Answer one message at once; returns the Message."""
        params = parse_json(body)
        if params.get("stream"):
            raise ApiError(Problem("invalid_request_error", "stream: this simulator does not stream answers"))
        _raise(params_problem(params, headers.version))
        with self._lock:
            rule = self._batches.rule_for(params)
        _raise(_synchronous_error(rule))
        answer = reply(params, rule, self._answerer)
        with self._lock:
            self._synchronous.append(synchronous_charge(params, answer))
        return message(params, answer, (secrets.token_hex(12),), "synchronous")

    def count_tokens(self, body: bytes, headers: CallHeaders) -> dict[str, Any]:
        """An estimate of a prompt's length in tokens."""
        params = parse_json(body)
        _raise(prompt_problem(params, headers.version))
        return {"input_tokens": input_tokens(params)}

    def bill(self) -> dict[str, Any]:
        """What would have been charged up to now, by request and in total."""
        with self._lock:
            now, batches, synchronous = self.clock.now(), self._batches.all(), list(self._synchronous)
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

    def log(self, method: str, path: str, status: int | None) -> None:
        """Remember a call; no status means that the connection was dropped."""
        self.calls.append({"time": rfc3339(self.clock.now()), "method": method, "path": path, "status": status})


def page_view(data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """A page as the API lists things."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": has_more, "first_id": first, "last_id": last}


def _synchronous_error(rule: Rule | None) -> Problem | None:
    if rule is None:
        return None
    return of_type("timeout_error") if rule.outcome == "expired" else scripted_error(rule)


def _raise(problem: Problem | None) -> None:
    if problem is not None:
        raise ApiError(problem)


def require_model_name(name: str, known: dict[str, Any]) -> None:
    """A 404 in the API's words when no model has this name."""
    if name not in known:
        raise not_found(f"model: {name}")
