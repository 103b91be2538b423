"""The routes under `/simulator`, which steer the simulator and need no key."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from anyio import to_thread

from backcast_simulator.batch import rfc3339
from backcast_simulator.errors import invalid
from backcast_simulator.faults import BATCH_KINDS, CALL_KINDS, ROW_KINDS, parse_faults
from backcast_simulator.outcomes import parse_rules, view_of_rule
from backcast_simulator.rule_format import SCHEMA
from backcast_simulator.settings import DEFAULT_WORKSPACE, READINGS
from backcast_simulator.validation import MAX_REQUESTS
from backcast_simulator.web import RouteTable, json_response, posted_json

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from backcast_simulator.simulator import Simulator

# Thirty years: longer than any result is kept.
_LONGEST_STEP = 1e9


class ControlRoutes:
    """The handlers under `/simulator`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def table(self) -> RouteTable:
        """Method, path and handler of each route."""
        return [
            ("GET", "/simulator/health", self.health),
            ("GET", "/simulator/bill", self.bill),
            ("GET", "/simulator/log", self.log),
            ("GET", "/simulator/rules", self.rules),
            ("POST", "/simulator/rules", self.set_rules),
            ("GET", "/simulator/rules/schema", self.rules_schema),
            ("GET", "/simulator/faults", self.faults),
            ("POST", "/simulator/faults", self.set_faults),
            ("GET", "/simulator/settings", self.settings),
            ("POST", "/simulator/settings", self.change_settings),
            ("GET", "/simulator/clock", self.clock),
            ("POST", "/simulator/clock", self.advance_clock),
            ("POST", "/simulator/strangers", self.add_strangers),
        ]

    async def health(self, _: Request) -> Response:
        """`GET /simulator/health`."""
        return json_response(self._simulator.health())

    async def bill(self, _: Request) -> Response:
        """`GET /simulator/bill`."""
        return json_response(await to_thread.run_sync(self._simulator.bill))

    async def log(self, _: Request) -> Response:
        """`GET /simulator/log`."""
        return json_response(list(self._simulator.calls))

    async def rules(self, _: Request) -> Response:
        """`GET /simulator/rules`."""
        return json_response([view_of_rule(rule) for rule in self._simulator.rules()])

    async def set_rules(self, request: Request) -> Response:
        """`POST /simulator/rules`: a list that takes the place of all rules."""
        self._simulator.set_rules(parse_rules(await posted_json(request)))
        return await self.rules(request)

    async def rules_schema(self, _: Request) -> Response:
        """`GET /simulator/rules/schema`: the format of rules, as a JSON schema."""
        return json_response(SCHEMA)

    async def faults(self, _: Request) -> Response:
        """`GET /simulator/faults`: those that are not used up, and the kinds there are with their options."""
        faults = self._simulator.faults.all()
        creates = sum(fault.times for fault in faults if fault.kind in CALL_KINDS and fault.endpoint == "create")
        return json_response(
            {
                "create_calls": creates,
                "faults": [fault.view() for fault in faults],
                "kinds": {**CALL_KINDS, **ROW_KINDS, **BATCH_KINDS},
            }
        )

    async def set_faults(self, request: Request) -> Response:
        """`POST /simulator/faults`: one or a list of them, in place of all others; `{}` for none."""
        self._simulator.set_faults(parse_faults(await posted_json(request)))
        return await self.faults(request)

    async def settings(self, _: Request) -> Response:
        """`GET /simulator/settings`: readings, with the choices there are, and which languages need an example."""
        settings = self._simulator.settings
        needs_example = sorted(settings.needs_example)
        return json_response(
            {"readings": asdict(settings.readings), "choices": READINGS, "needs_example": needs_example}
        )

    async def change_settings(self, request: Request) -> Response:
        """`POST /simulator/settings`: the readings to change, and `needs_example`."""
        self._simulator.change_settings(await posted_json(request))
        return await self.settings(request)

    async def clock(self, _: Request) -> Response:
        """`GET /simulator/clock`."""
        return json_response({"now": rfc3339(self._simulator.clock.now())})

    async def advance_clock(self, request: Request) -> Response:
        """`POST /simulator/clock`: move it on by `advance_seconds`."""
        (seconds,) = _numbers(await posted_json(request), {"advance_seconds": None}, _LONGEST_STEP)
        self._simulator.advance(seconds)
        return await self.clock(request)

    async def add_strangers(self, request: Request) -> Response:
        """`POST /simulator/strangers`: `count` batches of so many `requests` that somebody else creates."""
        body = await posted_json(request)
        where = body.pop("workspace", DEFAULT_WORKSPACE) if isinstance(body, dict) else DEFAULT_WORKSPACE
        requests, count = _numbers(body, {"requests": None, "count": 1}, MAX_REQUESTS)
        if requests < 1 or not isinstance(where, str):
            raise invalid("requests: at least 1 is expected, and the name of a workspace if there is one")
        ids = await to_thread.run_sync(self._simulator.add_strangers, int(requests), int(count), where)
        return json_response({"ids": ids})


def _numbers(body: object, wanted: dict[str, float | None], most: float) -> list[float]:
    """The numbers in a JSON object by name, those with a default may be left out; a 400 that says what is wrong."""
    if not isinstance(body, dict) or set(body) - set(wanted):
        raise invalid(f"a JSON object with {' and '.join(wanted)} is expected")
    numbers = []
    for name, default in wanted.items():
        value = body.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
            raise invalid(f"{name}: a number from 0 to {most:g} is expected")
        numbers.append(value)
    return numbers
