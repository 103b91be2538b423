"""The routes of the Message Batches API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from backcast_simulator.bodies import read_body
from backcast_simulator.rows import StreamCutError
from backcast_simulator.validation import MAX_BATCH_BYTES
from backcast_simulator.web import RouteTable, base_url, call_headers, json_response, page_arguments, workspace

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from backcast_simulator.simulator import Simulator

_POLL_AGAIN_AFTER_SECONDS = "10"


class Rows(StreamingResponse):
    """Result rows as they are written; the stream may be cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the rows, and leave word for the outermost layer if the connection is to be closed in their midst."""
        try:
            await super().__call__(scope, receive, send)
        except* StreamCutError:
            scope["drop_connection"] = True


class BatchRoutes:
    """The handlers under `/v1/messages/batches`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def table(self) -> RouteTable:
        """Method, path and handler of each route."""
        return [
            ("POST", "/v1/messages/batches", self.create),
            ("GET", "/v1/messages/batches", self.list),
            ("GET", "/v1/messages/batches/{id}", self.retrieve),
            ("DELETE", "/v1/messages/batches/{id}", self.delete),
            ("POST", "/v1/messages/batches/{id}/cancel", self.cancel),
            ("GET", "/v1/messages/batches/{id}/results", self.results),
        ]

    async def create(self, request: Request) -> Response:
        """`POST /v1/messages/batches`."""
        body = await read_body(request, MAX_BATCH_BYTES)
        where = (base_url(request), workspace(request))
        return json_response(await to_thread.run_sync(self._simulator.create, body, call_headers(request), *where))

    async def list(self, request: Request) -> Response:
        """`GET /v1/messages/batches`."""
        page = self._simulator.page(*page_arguments(request), base_url(request), workspace(request))
        return json_response(page)

    async def retrieve(self, request: Request) -> Response:
        """`GET /v1/messages/batches/{id}`."""
        batch = self._simulator.retrieve(request.path_params["id"], base_url(request), workspace(request))
        response = json_response(batch)
        if batch["ended_at"] is None and self._simulator.readings.poll_retry_after == "ten":
            response.headers["retry-after"] = _POLL_AGAIN_AFTER_SECONDS
        return response

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/messages/batches/{id}/cancel`."""
        batch = self._simulator.cancel(request.path_params["id"], base_url(request), workspace(request))
        return json_response(batch)

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/messages/batches/{id}`."""
        return json_response(self._simulator.delete(request.path_params["id"], workspace(request)))

    async def results(self, request: Request) -> Response:
        """`GET /v1/messages/batches/{id}/results`."""
        fault: dict[str, Any] | None = request.scope.get("rows_fault")
        rows = self._simulator.results(request.path_params["id"], workspace(request), fault)
        return Rows(rows, media_type="application/x-jsonl")
