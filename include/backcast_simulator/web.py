"""What all routes share: JSON answers, the error envelope and what they read from a request."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from backcast_simulator.bodies import read_body
from backcast_simulator.errors import ApiError, Problem, invalid
from backcast_simulator.json_bodies import parse_whole
from backcast_simulator.settings import DEFAULT_WORKSPACE
from backcast_simulator.simulator import CallHeaders
from backcast_simulator.validation import FIRST_VERSION_WITHOUT_SAMPLING, MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from starlette.types import Scope

_DEFAULT_PAGE = 20

Handler = Callable[[Request], Awaitable[Response]]
RouteTable = list[tuple[str, str, Handler]]


def json_response(content: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")


async def posted_json(request: Request) -> object:
    """The request body as JSON; a 400 when it is none."""
    return parse_whole(await read_body(request, MAX_MESSAGE_BYTES))


def base_url(request: Request) -> str:
    """The origin that the caller used."""
    return f"{request.url.scheme}://{request.url.netloc}"


def call_headers(request: Request) -> CallHeaders:
    """The API version and the betas that a call names."""
    betas = ",".join(request.headers.getlist("anthropic-beta")).split(",")
    version = request.headers.get("anthropic-version", FIRST_VERSION_WITHOUT_SAMPLING)
    return CallHeaders(version, frozenset(filter(None, (beta.strip() for beta in betas))))


def workspace(request: Request) -> str:
    """The workspace of the caller's key."""
    name: str = request.scope.get("workspace", DEFAULT_WORKSPACE)
    return name


def page_arguments(request: Request) -> tuple[int, str | None, str | None]:
    """The limit, after_id and before_id of a list call."""
    query = request.query_params
    try:
        limit = int(query.get("limit", _DEFAULT_PAGE))
    except ValueError:
        raise invalid("limit: Input should be a valid integer, unable to parse string as an integer") from None
    return limit, query.get("after_id"), query.get("before_id")


def request_id(scope: Scope) -> str:
    """The id of this call, in its `request-id` header and in its error envelope."""
    name: str = scope.setdefault("request_id", f"req_simulator_{secrets.token_hex(12)}")
    return name


def problem_response(scope: Scope, problem: Problem, status: int | None = None) -> Response:
    """An answer that is an error of the API; the status is that of the problem's type unless told."""
    return json_response(problem.envelope(request_id(scope)), problem.status if status is None else status)


async def api_error(request: Request, error: Exception) -> Response:
    """The answer to a call that the API refuses."""
    if isinstance(error, ApiError):
        response = problem_response(request.scope, error.problem, error.status)
        response.headers.update(error.headers)
        return response
    return await unexpected_error(request, error)


async def http_error(request: Request, error: Exception) -> Response:
    """The answer to a call of a route that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = "not_found_error" if status == 404 else "invalid_request_error"  # noqa: PLR2004  HTTP's own number
    text = "Not found" if kind == "not_found_error" else "Method Not Allowed"
    return problem_response(request.scope, Problem(kind, text), status)


async def unexpected_error(request: Request, _: Exception) -> Response:
    """The answer when the simulator itself has failed."""
    return problem_response(request.scope, Problem("api_error", "Internal server error"), 500)
