"""The HTTP shell: routes, headers, authentication, the error envelope and the log of calls."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from backcast_simulator.bodies import read_body
from backcast_simulator.catalogue import MODELS
from backcast_simulator.core import paginate
from backcast_simulator.errors import ApiError, Problem, invalid
from backcast_simulator.faults import CreateFault, parse_fault
from backcast_simulator.outcomes import parse_rules, view_of_rule
from backcast_simulator.simulator import CallHeaders, Simulator, page_view, require_model_name
from backcast_simulator.validation import FIRST_VERSION_WITHOUT_SAMPLING, MAX_BATCH_BYTES, MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_MODEL_HEADER = ("x-backcast-simulator", "no model was asked")
_DEFAULT_PAGE = 20

Handler = Callable[[Request], Awaitable[Response]]


class DropConnection(Response):
    """In place of an answer: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  Response's own
        """Send nothing, and leave word in the scope for the outermost layer."""
        scope["drop_connection"] = True


class Api:
    """The handlers of all routes; each takes a request and returns a response."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def create_batch(self, request: Request) -> Response:
        """`POST /v1/messages/batches`."""
        fault = self._simulator.faults.take() or CreateFault()
        body = await read_body(request, MAX_BATCH_BYTES)
        if fault.drop == "before":
            return DropConnection()
        if fault.html_status is not None:
            return HTMLResponse("<html><body><h1>Bad Gateway</h1></body></html>\n", fault.html_status)
        if fault.refusal is not None:
            raise fault.refusal
        batch = await to_thread.run_sync(self._simulator.create, body, _headers(request), _base_url(request))
        if fault.drop == "after":
            return DropConnection()
        return _json(batch)

    async def list_batches(self, request: Request) -> Response:
        """`GET /v1/messages/batches`."""
        return _json(self._simulator.page(*_page_arguments(request), _base_url(request)))

    async def retrieve_batch(self, request: Request) -> Response:
        """`GET /v1/messages/batches/{id}`."""
        return _json(self._simulator.retrieve(request.path_params["id"], _base_url(request)))

    async def cancel_batch(self, request: Request) -> Response:
        """`POST /v1/messages/batches/{id}/cancel`."""
        return _json(self._simulator.cancel(request.path_params["id"], _base_url(request)))

    async def delete_batch(self, request: Request) -> Response:
        """`DELETE /v1/messages/batches/{id}`."""
        return _json(self._simulator.delete(request.path_params["id"]))

    async def results(self, request: Request) -> Response:
        """`GET /v1/messages/batches/{id}/results`."""
        rows = self._simulator.results(request.path_params["id"])
        return StreamingResponse(rows, media_type="application/x-jsonl")

    async def create_message(self, request: Request) -> Response:
        """`POST /v1/messages`."""
        body = await read_body(request, MAX_MESSAGE_BYTES)
        return _json(await to_thread.run_sync(self._simulator.answer, body, _headers(request)))

    async def count_tokens(self, request: Request) -> Response:
        """`POST /v1/messages/count_tokens`."""
        body = await read_body(request, MAX_MESSAGE_BYTES)
        return _json(await to_thread.run_sync(self._simulator.count_tokens, body, _headers(request)))

    async def list_models(self, request: Request) -> Response:
        """`GET /v1/models`."""
        models, more = paginate(list(MODELS.values()), *_page_arguments(request))
        return _json(page_view([model.view() for model in models], has_more=more))

    async def retrieve_model(self, request: Request) -> Response:
        """`GET /v1/models/{id}`."""
        name = request.path_params["id"]
        require_model_name(name, MODELS)
        return _json(MODELS[name].view())


class Control:
    """The handlers under `/simulator`, which need no key."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def health(self, _: Request) -> Response:
        """`GET /simulator/health`."""
        return _json(self._simulator.health())

    async def bill(self, _: Request) -> Response:
        """`GET /simulator/bill`."""
        return _json(await to_thread.run_sync(self._simulator.bill))

    async def log(self, _: Request) -> Response:
        """`GET /simulator/log`."""
        return _json(list(self._simulator.calls))

    async def rules(self, _: Request) -> Response:
        """`GET /simulator/rules`."""
        return _json([view_of_rule(rule) for rule in self._simulator.rules()])

    async def set_rules(self, request: Request) -> Response:
        """`POST /simulator/rules`: a list that takes the place of all rules."""
        self._simulator.set_rules(parse_rules(await _posted(request)))
        return await self.rules(request)

    async def set_faults(self, request: Request) -> Response:
        """`POST /simulator/faults`: an object that takes the place of any fault; `{}` for none."""
        fault = parse_fault(await _posted(request))
        self._simulator.faults.set(fault)
        return _json({"create_calls": 0 if fault is None else fault.times})


async def _posted(request: Request) -> object:
    body = await read_body(request, MAX_MESSAGE_BYTES)
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The request body is not valid JSON: {error}") from None
    return parsed


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _base_url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _headers(request: Request) -> CallHeaders:
    betas = ",".join(request.headers.getlist("anthropic-beta")).split(",")
    version = request.headers.get("anthropic-version", FIRST_VERSION_WITHOUT_SAMPLING)
    return CallHeaders(version, frozenset(filter(None, (beta.strip() for beta in betas))))


def _page_arguments(request: Request) -> tuple[int, str | None, str | None]:
    query = request.query_params
    try:
        limit = int(query.get("limit", _DEFAULT_PAGE))
    except ValueError:
        raise invalid("limit: Input should be a valid integer, unable to parse string as an integer") from None
    return limit, query.get("after_id"), query.get("before_id")


def _request_id(scope: Scope) -> str:
    request_id: str = scope.setdefault("request_id", f"req_simulator_{secrets.token_hex(12)}")
    return request_id


def _problem_response(request: Request, problem: Problem, status: int) -> Response:
    return _json(problem.envelope(_request_id(request.scope)), status)


async def _api_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return _problem_response(request, error.problem, error.status)
    return await _unexpected_error(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = "not_found_error" if status == 404 else "invalid_request_error"  # noqa: PLR2004  HTTP's own number
    text = "Not found" if kind == "not_found_error" else "Method Not Allowed"
    return _problem_response(request, Problem(kind, text), status)


async def _unexpected_error(request: Request, _: Exception) -> Response:
    return _problem_response(request, Problem("api_error", "Internal server error"), 500)


class Authentication:
    """Answers 401 to calls of the API without a key, or with a key that is not among `api_keys`."""

    def __init__(self, app: ASGIApp, api_keys: frozenset[str]) -> None:
        self._app = app
        self._keys = api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI call."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            problem = self._problem(Request(scope))
            if problem is not None:
                await _problem_response(Request(scope), problem, problem.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, request: Request) -> Problem | None:
        key = request.headers.get("x-api-key", "").strip()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not key and scheme.lower() == "bearer":
            key = token.strip()
        if not key:
            return Problem("authentication_error", "x-api-key header is required")
        if self._keys and key not in self._keys:
            return Problem("authentication_error", "invalid x-api-key")
        return None


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

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = (("request-id", _request_id(scope)), NO_MODEL_HEADER)
                headers = [(name.encode(), value.encode()) for name, value in extra]
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            await send(message)

        try:
            await self._app(scope, receive, marked)
            if scope.get("drop_connection"):
                await _drop(receive, send)
        finally:
            self._simulator.log(scope["method"], scope["path"], status)


async def _drop(receive: Receive, send: Send) -> None:
    # ASGI has no way to close a connection without an answer; uvicorn's `send` is a method of the object that
    # holds the connection.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("the server does not let the simulator close the connection")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def build_app(simulator: Simulator) -> ASGIApp:
    """The ASGI application of one simulator."""
    app: ASGIApp = Starlette(
        routes=_routes(Api(simulator), Control(simulator)),
        exception_handlers={ApiError: _api_error, HTTPException: _http_error, Exception: _unexpected_error},
    )
    return Envelope(Authentication(app, simulator.settings.api_keys), simulator)


def _routes(api: Api, control: Control) -> list[Route]:
    table: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/messages/batches", api.create_batch),
        ("GET", "/v1/messages/batches", api.list_batches),
        ("GET", "/v1/messages/batches/{id}", api.retrieve_batch),
        ("DELETE", "/v1/messages/batches/{id}", api.delete_batch),
        ("POST", "/v1/messages/batches/{id}/cancel", api.cancel_batch),
        ("GET", "/v1/messages/batches/{id}/results", api.results),
        ("POST", "/v1/messages", api.create_message),
        ("POST", "/v1/messages/count_tokens", api.count_tokens),
        ("GET", "/v1/models", api.list_models),
        ("GET", "/v1/models/{id}", api.retrieve_model),
        ("GET", "/simulator/health", control.health),
        ("GET", "/simulator/bill", control.bill),
        ("GET", "/simulator/log", control.log),
        ("GET", "/simulator/rules", control.rules),
        ("POST", "/simulator/rules", control.set_rules),
        ("POST", "/simulator/faults", control.set_faults),
    ]
    return [Route(path, handler, methods=[method]) for method, path, handler in table]
