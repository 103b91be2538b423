"""The routes of the synchronous API: messages, token counts and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import to_thread
from starlette.responses import StreamingResponse

from backcast_simulator.bodies import read_body
from backcast_simulator.catalogue import MODELS
from backcast_simulator.core import paginate
from backcast_simulator.simulator import page_view, require_model_name
from backcast_simulator.streaming import server_sent_events
from backcast_simulator.validation import MAX_MESSAGE_BYTES
from backcast_simulator.web import RouteTable, call_headers, json_response, page_arguments, workspace

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from backcast_simulator.simulator import Simulator

_STREAM_HEADERS = {"cache-control": "no-cache"}


class MessageRoutes:
    """The handlers of `/v1/messages` and `/v1/models`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def table(self) -> RouteTable:
        """Method, path and handler of each route."""
        return [
            ("POST", "/v1/messages", self.create),
            ("POST", "/v1/messages/count_tokens", self.count_tokens),
            ("GET", "/v1/models", self.list_models),
            ("GET", "/v1/models/{id}", self.retrieve_model),
        ]

    async def create(self, request: Request) -> Response:
        """`POST /v1/messages`."""
        body = await read_body(request, MAX_MESSAGE_BYTES)
        answer = await to_thread.run_sync(self._simulator.answer, body, call_headers(request), workspace(request))
        if answer.streamed:
            return StreamingResponse(
                server_sent_events(answer.message), media_type="text/event-stream", headers=_STREAM_HEADERS
            )
        return json_response(answer.message)

    async def count_tokens(self, request: Request) -> Response:
        """`POST /v1/messages/count_tokens`."""
        body = await read_body(request, MAX_MESSAGE_BYTES)
        return json_response(await to_thread.run_sync(self._simulator.count_tokens, body, call_headers(request)))

    async def list_models(self, request: Request) -> Response:
        """`GET /v1/models`."""
        models, more = paginate(list(MODELS.values()), *page_arguments(request))
        return json_response(page_view([model.view() for model in models], has_more=more))

    async def retrieve_model(self, request: Request) -> Response:
        """`GET /v1/models/{id}`."""
        name = request.path_params["id"]
        require_model_name(name, MODELS)
        return json_response(MODELS[name].view())
