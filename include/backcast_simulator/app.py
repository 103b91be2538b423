"""The ASGI application: the routes and the layers around them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from backcast_simulator.batch_routes import BatchRoutes
from backcast_simulator.control_routes import ControlRoutes
from backcast_simulator.errors import ApiError
from backcast_simulator.fault_layer import FaultLayer, Pause
from backcast_simulator.layers import Authentication, Envelope, RateLimited
from backcast_simulator.message_routes import MessageRoutes
from backcast_simulator.web import RouteTable, api_error, http_error, unexpected_error

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from backcast_simulator.simulator import Simulator


def build_app(simulator: Simulator, pause: Pause = asyncio.sleep) -> ASGIApp:
    """The ASGI application of one simulator; `pause` waits for so many seconds when an answer is to be late."""
    app = Starlette(
        routes=_routes(simulator),
        exception_handlers={ApiError: api_error, HTTPException: http_error, Exception: unexpected_error},
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
