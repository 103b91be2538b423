"""The ASGI application: the routes and the layers around them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse
from starlette.routing import Route

from backcast_simulator.batch_routes import BatchRoutes
from backcast_simulator.control_routes import ControlRoutes
from backcast_simulator.errors import ApiError
from backcast_simulator.fault_layer import FaultLayer, Pause
from backcast_simulator.layers import Authentication, Envelope, RateLimited
from backcast_simulator.message_routes import MessageRoutes
from backcast_simulator.web import RouteTable, api_error, http_error, unexpected_error

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from backcast_simulator.simulator import Simulator

_TOO_LARGE = 413


def build_app(simulator: Simulator, pause: Pause = asyncio.sleep) -> ASGIApp:
    """The ASGI application of one simulator; `pause` waits for so many seconds when an answer is to be late."""

    async def refusal(request: Request, error: Exception) -> Response:
        too_large = isinstance(error, ApiError) and error.status == _TOO_LARGE
        if too_large and simulator.readings.too_large == "html":
            return HTMLResponse("<html><body><h1>413 Request Entity Too Large</h1></body></html>\n", _TOO_LARGE)
        return await api_error(request, error)

    app = Starlette(
        routes=_routes(simulator),
        exception_handlers={ApiError: refusal, HTTPException: http_error, Exception: unexpected_error},
    )
    # The API does not redirect to a route with or without a slash at its end.
    app.router.redirect_slashes = False
    limited = RateLimited(FaultLayer(app, simulator, pause), simulator)
    return Envelope(Authentication(limited, simulator.settings), simulator)


def _routes(simulator: Simulator) -> list[Route]:
    table: RouteTable = []
    for area in (BatchRoutes, MessageRoutes, ControlRoutes):
        table += area(simulator).table()
    return [Route(path, handler, methods=[method]) for method, path, handler in table]
