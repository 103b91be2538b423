"""What lies around the routes: authentication, rate limits, the marks on every answer, the log, dropped connections."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from typing import TYPE_CHECKING

from starlette.requests import Request

from backcast_simulator.batch import rfc3339
from backcast_simulator.errors import ApiError, Problem
from backcast_simulator.web import problem_response, request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from backcast_simulator.limits import Allowance
    from backcast_simulator.settings import Settings
    from backcast_simulator.simulator import Simulator

NO_MODEL_HEADER = ("x-backcast-simulator", "no model was asked")
DROP_EXTENSION = "backcast_simulator.drop"


class Authentication:
    """Answers 401 to calls of the API without a valid key, and notes the workspace of the key."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI call."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            problem = self._problem(scope)
            if problem is not None:
                await problem_response(scope, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        request = Request(scope)
        key = request.headers.get("x-api-key", "").strip()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not key and scheme.lower() == "bearer":
            key = token.strip()
        if not key:
            return Problem("authentication_error", "x-api-key header is required")
        scope["workspace"] = self._settings.workspace_of(key)
        return Problem("authentication_error", "invalid x-api-key") if scope["workspace"] is None else None


class RateLimited:
    """Counts calls of the batch endpoints, says on each answer how many are left and refuses one too many."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI call."""
        allowance = self._allowance(scope)
        if allowance is None:
            await self._app(scope, receive, send)
            return
        headers = _rate_headers(allowance, self._simulator.clock.now())

        async def with_headers(message: Message) -> None:
            await send(_with(message, headers))

        if allowance.retry_after is None:
            await self._app(scope, receive, with_headers)
        else:
            await refuse(scope, receive, with_headers, allowance.refusal())

    def _allowance(self, scope: Scope) -> Allowance | None:
        if scope["type"] != "http":
            return None
        if scope["path"].startswith("/v1/messages/batches"):
            return self._simulator.allowance()
        return self._simulator.message_allowance() if scope["path"] == "/v1/messages" else None


def _rate_headers(allowance: Allowance, now: dt.datetime) -> dict[str, str]:
    reset = now + dt.timedelta(seconds=allowance.seconds_to_full)
    return {
        "anthropic-ratelimit-requests-limit": str(allowance.limit),
        "anthropic-ratelimit-requests-remaining": str(allowance.remaining),
        "anthropic-ratelimit-requests-reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _with(message: Message, headers: dict[str, str]) -> Message:
    if message["type"] != "http.response.start":
        return message
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {**message, "headers": [*message.get("headers", []), *extra]}


async def refuse(scope: Scope, receive: Receive, send: Send, error: ApiError) -> None:
    """Answer with an error of the API, once the request is read: a client that still sends would not see it."""
    await drain(receive)
    response = problem_response(scope, error.problem, error.status)
    response.headers.update(error.headers)
    await response(scope, receive, send)


async def drain(receive: Receive) -> None:
    """Read a request's body to its end."""
    while (await receive()).get("more_body"):
        pass


class Envelope:
    """The outermost layer: marks every answer, logs every call and drops connections that are to be dropped."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status: int | None = None
        time = rfc3339(self._simulator.clock.now())

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = (("request-id", request_id(scope)), NO_MODEL_HEADER, ("date", self._date()))
                message = _with(message, dict(marks))
            await send(message)

        try:
            await self._app(scope, receive, marked)
            if scope.get("drop_connection"):
                await _drop(scope, receive, send)
        finally:
            call = {
                "time": time,
                "answered_at": rfc3339(self._simulator.clock.now()),
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "workspace": scope.get("workspace"),
                "request_id": request_id(scope),
            }
            for _ in range(scope.get("arrivals", 1)):
                self._simulator.log(call)

    def _date(self) -> str:
        # The server's own clock, by which a client can tell what was created before or after.
        return format_datetime(self._simulator.clock.now().astimezone(dt.UTC), usegmt=True)


async def _drop(scope: Scope, receive: Receive, send: Send) -> None:
    drop = (scope.get("extensions") or {}).get(DROP_EXTENSION)
    if drop is not None:
        drop()
        return
    # ASGI has no way to close a connection without an answer; uvicorn's `send` is a method of the object that
    # holds the connection.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("the server does not let the simulator close the connection")
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
