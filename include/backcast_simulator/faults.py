"""Faults on request: what is to go wrong with the next create calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from backcast_simulator.errors import ApiError, Problem, invalid

_ALLOWED = {"refuse_create", "drop_create", "html_create", "times"}


@dataclass(slots=True)
class CreateFault:
    """What goes wrong with `times` more create calls; of several kinds the first one of this list happens.

    `drop` closes the connection without an answer, before or after the batch is accepted; `html_status` answers
    with a proxy's HTML page; `refusal` answers with an error of the API.
    """

    times: int = 1
    drop: Literal["before", "after"] | None = None
    html_status: int | None = None
    refusal: ApiError | None = None


def parse_fault(body: object) -> CreateFault | None:
    """The fault in the body of `POST /simulator/faults`; None for `{}`, which ends all faults."""
    if not isinstance(body, dict):
        raise invalid("faults: a JSON object is expected")
    unknown = set(body) - _ALLOWED
    if unknown:
        raise invalid(f"faults.{min(unknown)}: Extra inputs are not permitted")
    if not set(body) - {"times"}:
        return None
    times, drop, html = body.get("times", 1), body.get("drop_create"), body.get("html_create")
    if not isinstance(times, int) or times < 1:
        raise invalid("faults.times: a positive integer is expected")
    if drop not in (None, "before", "after"):
        raise invalid('faults.drop_create: "before" or "after" is expected')
    if html is not None and not isinstance(html, int):
        raise invalid("faults.html_create: an HTTP status is expected")
    refusal = body.get("refuse_create")
    return CreateFault(times, drop, html, None if refusal is None else _refusal(refusal))


def _refusal(body: Any) -> ApiError:  # noqa: ANN401  whatever JSON was posted
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        raise invalid("faults.refuse_create: an object with status, type and message is expected")
    problem = Problem(body["type"], str(body.get("message") or "Refused"), body.get("details"))
    return ApiError(problem, body.get("status"))


class Faults:
    """The fault in force, used up call by call."""

    def __init__(self) -> None:
        self._fault: CreateFault | None = None

    def set(self, fault: CreateFault | None) -> None:
        """Put this fault in force, in place of any other; None for no fault."""
        self._fault = fault

    def take(self) -> CreateFault | None:
        """The fault for the create call that has just come in, or None."""
        fault = self._fault
        if fault is None:
            return None
        fault.times -= 1
        if fault.times <= 0:
            self._fault = None
        return fault
