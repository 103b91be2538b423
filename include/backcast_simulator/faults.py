"""Faults on request: what is to go wrong with calls, with the rows of results and with batches."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backcast_simulator.errors import ApiError, Problem, invalid, of_type
from backcast_simulator.limits import spend_limit_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast_simulator.batch import Batch

ENDPOINTS = ("create", "list", "retrieve", "cancel", "delete", "results", "messages", "count_tokens", "models")
_COUNT, _NUMBER, _TEXT = "a whole number", "a number that is not negative", "a string"
_FLAG, _OBJECT = "true or false", "an object"

# Each kind with its options: what the value of each must be. The first group is about calls, `rows` about the rows
# of results, and the last group about batches.
CALL_KINDS: dict[str, dict[str, str | tuple[str, ...]]] = {
    "error": {"status": _COUNT, "type": _TEXT, "message": _TEXT, "details": _OBJECT, "retry_after": _NUMBER},
    "spend_limit": {"limit": ("tier", "customer")},
    "html": {"status": _COUNT},
    "redirect": {"status": _COUNT, "location": _TEXT},
    "drop": {"when": ("before", "after")},
    "cut": {"after": _COUNT},
    "delay": {"seconds": _NUMBER},
    "repeat": {},
}
ROW_KINDS: dict[str, dict[str, str | tuple[str, ...]]] = {
    "rows": {"missing": _COUNT, "repeated": _COUNT, "unknown": _COUNT, "broken_last": _FLAG, "cut": _FLAG},
}
BATCH_KINDS: dict[str, dict[str, str | tuple[str, ...]]] = {
    "never_ends": {},
    "expires": {"share": _NUMBER},
    "canceled": {"after_seconds": _NUMBER},
    "slow_cancel": {"seconds": _NUMBER},
    "list_lag": {"seconds": _NUMBER},
    "not_found": {"from_seconds": _NUMBER, "seconds": _NUMBER},
}
# What does not change how a batch is processed may happen to one that has ended, too.
KINDS_AFTER_THE_END = ("list_lag", "not_found")
_KINDS = {**CALL_KINDS, **ROW_KINDS, **BATCH_KINDS}
_OLD_KEYS = {"refuse_create", "drop_create", "html_create", "times"}


@dataclass(slots=True)
class Fault:
    """What goes wrong `times` more times, with calls of `endpoint` (None: any) or with batches created from now on.

    With `batch` it is only about calls that name that batch, or happens to that batch at once.
    """

    kind: str
    endpoint: str | None = None
    times: int = 1
    batch: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        """The fault as JSON, in the shape it is posted in."""
        about = {"endpoint": self.endpoint, "batch": self.batch}
        given = {name: value for name, value in about.items() if value is not None}
        return {"kind": self.kind, "times": self.times, **given, **self.options}

    def concerns(self, endpoint: str, batch_id: str | None) -> bool:
        """Whether it is about a call of this endpoint for this batch."""
        return self.endpoint in (None, endpoint) and self.batch in (None, batch_id)

    def error(self) -> ApiError:
        """The error that it answers with, when its kind is one that does."""
        if self.kind == "spend_limit":
            return spend_limit_error(self.options.get("limit", "customer"))
        problem, retry_after = of_type(self.options.get("type", "api_error")), self.options.get("retry_after")
        problem = Problem(problem.type, self.options.get("message", problem.message), self.options.get("details"))
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        return ApiError(problem, self.options.get("status"), headers)

    def befall(self, batch: Batch, now: dt.datetime) -> None:
        """Happen to this batch."""
        options, quirks = self.options, batch.quirks
        if self.kind == "never_ends":
            quirks.never_ends = True
        elif self.kind == "expires":
            batch.let_expire(options.get("share", 1.0), now)
        elif self.kind == "canceled":
            quirks.canceled_at = now + dt.timedelta(seconds=options.get("after_seconds", 0))
            batch.settle(now)
        elif self.kind == "slow_cancel":
            quirks.cancel_settles_in = dt.timedelta(seconds=options.get("seconds", 3600))
        elif self.kind == "list_lag":
            quirks.listed_from = now + dt.timedelta(seconds=options.get("seconds", 60))
        elif self.kind == "not_found":
            start = now + dt.timedelta(seconds=options.get("from_seconds", 0))
            quirks.hidden.append((start, start + dt.timedelta(seconds=options.get("seconds", 10))))


def parse_faults(body: object) -> list[Fault]:
    """The faults in the body of `POST /simulator/faults`: a list, `{}` for none, or the short form for create."""
    if isinstance(body, list):
        return [_fault(f"faults.{index}", entry) for index, entry in enumerate(body)]
    if not isinstance(body, dict):
        raise invalid("faults: a JSON object or a list of them is expected")
    return [_fault("faults", body)] if "kind" in body else _short_form(body)


def _fault(where: str, entry: object) -> Fault:
    if not isinstance(entry, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    kind, times = entry.get("kind"), entry.get("times", 1)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise invalid(f"{where}.kind: one of {', '.join(_KINDS)} is expected")
    if not _is(_COUNT, times) or times < 1:
        raise invalid(f"{where}.times: a positive integer is expected")
    options = {name: value for name, value in entry.items() if name not in ("kind", "times", "endpoint", "batch")}
    _check_options(where, kind, options)
    batch = entry.get("batch")
    if batch is not None and not isinstance(batch, str):
        raise invalid(f"{where}.batch: the id of a batch is expected")
    return Fault(kind, _endpoint(where, kind, entry.get("endpoint")), times, batch, options)


def _check_options(where: str, kind: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        expected = _KINDS[kind].get(name)
        if expected is None:
            raise invalid(f"{where}.{name}: Extra inputs are not permitted; {kind} takes {_listed(_KINDS[kind])}")
        if not _is(expected, value):
            raise invalid(f"{where}.{name}: {expected if isinstance(expected, str) else _listed(expected)} is expected")
    if not 200 <= options.get("status", 500) <= 599:  # noqa: PLR2004  what HTTP has for answers
        raise invalid(f"{where}.status: an HTTP status is expected")


def _listed(names: Iterable[str]) -> str:
    return " or ".join(names) or "nothing more"


def _is(expected: str | tuple[str, ...], value: object) -> bool:
    if isinstance(expected, tuple):
        return value in expected
    if expected in (_COUNT, _NUMBER):
        kinds = int if expected == _COUNT else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < 1e9  # noqa: PLR2004  30 years
    return isinstance(value, {_TEXT: str, _FLAG: bool, _OBJECT: dict}[expected])


def _endpoint(where: str, kind: str, value: object) -> str | None:
    if kind in ROW_KINDS:
        return "results"
    if kind in BATCH_KINDS or value == "any":
        return None
    if value is None:
        return "create"
    if not isinstance(value, str) or value not in ENDPOINTS:
        raise invalid(f"{where}.endpoint: one of any, {', '.join(ENDPOINTS)} is expected")
    return value


def _short_form(body: dict[str, Any]) -> list[Fault]:
    unknown = set(body) - _OLD_KEYS
    if unknown:
        raise invalid(f"faults.{min(unknown)}: Extra inputs are not permitted")
    entries = [("drop_create", "drop"), ("html_create", "html"), ("refuse_create", "error")]
    for key, kind in entries:
        value = body.get(key)
        if value is not None:
            options = {"drop": {"when": value}, "html": {"status": value}, "error": value}[kind]
            if not isinstance(options, dict):
                raise invalid(f"faults.{key}: an object with status, type and message is expected")
            return [_fault("faults", {"kind": kind, "times": body.get("times", 1), **options})]
    return []


class Faults:
    """The faults in force, used up call by call and batch by batch. May be used from several threads at once."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def set(self, faults: Iterable[Fault]) -> None:
        """Put these faults in force, in place of all others."""
        with self._lock:
            self._faults = list(faults)

    def all(self) -> list[Fault]:
        """The faults that are not used up."""
        with self._lock:
            return list(self._faults)

    def take_for_call(self, endpoint: str, batch_id: str | None) -> Fault | None:
        """The fault for a call that has just come in, or None; the first one that concerns it."""
        with self._lock:
            for fault in self._faults:
                if fault.kind not in BATCH_KINDS and fault.concerns(endpoint, batch_id):
                    return self._use(fault)
        return None

    def take_for_batch(self) -> list[Fault]:
        """All faults for a batch that has just been created."""
        with self._lock:
            return [self._use(fault) for fault in list(self._faults) if fault.kind in BATCH_KINDS]

    def _use(self, fault: Fault) -> Fault:
        fault.times -= 1
        if fault.times <= 0:
            self._faults.remove(fault)
        return fault
