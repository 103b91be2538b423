"""Lets faults happen to calls, between authentication and the routes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

from backcast_simulator.layers import drain, refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from backcast_simulator.faults import Fault
    from backcast_simulator.simulator import Simulator

Pause = Callable[[float], Awaitable[None]]

_ONE_BATCH = re.compile(r"/v1/messages/batches/(?P<id>[^/]+)(?P<action>/cancel|/results)?")
_FIXED = {
    ("POST", "/v1/messages/batches"): "create",
    ("GET", "/v1/messages/batches"): "list",
    ("POST", "/v1/messages"): "messages",
    ("POST", "/v1/messages/count_tokens"): "count_tokens",
}
_ABOUT_ONE_BATCH = {
    ("GET", None): "retrieve",
    ("DELETE", None): "delete",
    ("POST", "/cancel"): "cancel",
    ("GET", "/results"): "results",
}


def endpoint_of(method: str, path: str) -> tuple[str | None, str | None]:
    """The name of the endpoint that a call is for, and the batch that it names."""
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed, None
    if path.startswith("/v1/models"):
        return "models", None
    match = _ONE_BATCH.fullmatch(path)
    return (_ABOUT_ONE_BATCH.get((method, match["action"])), match["id"]) if match else (None, None)


class FaultLayer:
    """Takes the fault for each call of the API, if there is one, and lets it happen.

    `pause` waits for so many seconds of real time.
    """

    def __init__(self, app: ASGIApp, simulator: Simulator, pause: Pause = asyncio.sleep) -> None:
        self._app = app
        self._simulator = simulator
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI call."""
        endpoint, batch_id = (None, None)
        if scope["type"] == "http":
            endpoint, batch_id = endpoint_of(scope["method"], scope["path"])
        fault = None if endpoint is None else self._simulator.faults.take_for_call(endpoint, batch_id)
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._happen(fault, scope, receive, send)

    async def _happen(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind in ("error", "spend_limit"):
            await refuse(scope, receive, send, fault.error())
        elif fault.kind in ("html", "redirect"):
            await drain(receive)
            await _answer_of_a_proxy(fault)(scope, receive, send)
        elif fault.kind == "drop":
            await (drain(receive) if fault.options.get("when") == "before" else self._app(scope, receive, _nowhere))
            scope["drop_connection"] = True
        elif fault.kind == "cut":
            await self._cut(fault.options.get("after", 5), scope, receive, send)
        elif fault.kind == "delay":
            await self._delay(fault.options.get("seconds", 1), scope, receive, send)
        elif fault.kind == "repeat":
            await self._repeat(scope, receive, send)
        else:
            scope["rows_fault"] = fault.options
            await self._app(scope, receive, send)

    async def _cut(self, after: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Close the connection after so many parts of an answer's body; a streamed one has a part an event."""
        sent = 0

        async def part(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.body":
                sent += 1
            if sent <= after:
                await send(message)

        await self._app(scope, receive, part)
        scope["drop_connection"] = sent > after

    async def _delay(self, seconds: float, scope: Scope, receive: Receive, send: Send) -> None:
        waited = False

        async def late(message: Message) -> None:
            nonlocal waited
            if not waited:
                waited = True
                await self._pause(seconds)
            await send(message)

        await self._app(scope, receive, late)

    async def _repeat(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        scope["arrivals"] = 2
        await self._app({**scope}, _replayed(body, receive), _nowhere)
        await self._app(scope, _replayed(body, receive), send)


def _answer_of_a_proxy(fault: Fault) -> Response:
    if fault.kind == "redirect":
        location = fault.options.get("location", "https://login.proxy.invalid/")
        return Response(status_code=fault.options.get("status", 307), headers={"location": location})
    return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>\n", fault.options.get("status", 502))


async def _nowhere(message: Message) -> None:
    """Send an answer that nobody gets."""


async def _read(receive: Receive) -> bytearray:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytearray, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
