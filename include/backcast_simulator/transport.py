"""The simulator without a network: a transport for the HTTP client of the SDK, synchronous or asynchronous.

    simulator = Simulator(SteppedClock(), answerer_named("echo"))
    client = anthropic.Anthropic(api_key="any", http_client=httpx2.Client(transport=SimulatorTransport(simulator)))

With a stepped clock a simulated night takes no time: `simulator.advance(3600)`.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx2

from backcast_simulator.app import build_app
from backcast_simulator.layers import DROP_EXTENSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator

    from starlette.types import ASGIApp, Message, Scope

    from backcast_simulator.fault_layer import Pause
    from backcast_simulator.simulator import Simulator

T = TypeVar("T")

# How many parts of an answer are made before the first of them is read.
_PARTS_AHEAD = 2


class SimulatorTransport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Hands requests to a simulator in this process, whatever their host; `pause` waits when an answer is to be late.

    Synchronous calls share one event loop in a thread of the transport's own, which ends with it or by `close`.
    """

    def __init__(self, simulator: Simulator, pause: Pause = asyncio.sleep) -> None:
        self._app = build_app(simulator, pause)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end_of_thread: weakref.finalize[..., SimulatorTransport] | None = None
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serve one request of a synchronous client."""
        exchange = _Exchange(self._app, request)
        start = self._wait_for(exchange.begin())
        return httpx2.Response(start["status"], headers=start["headers"], stream=_SyncBody(self, exchange))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Serve one request of an asynchronous client."""
        exchange = _Exchange(self._app, request)
        start = await exchange.begin()
        return httpx2.Response(start["status"], headers=start["headers"], stream=_AsyncBody(exchange))

    def close(self) -> None:
        """End the thread that serves synchronous calls."""
        with self._lock:
            self._loop = None
            if self._end_of_thread is not None:
                self._end_of_thread()

    async def aclose(self) -> None:
        """End the thread that serves synchronous calls, if there is one."""
        self.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=[self._loop], daemon=True).start()
                self._end_of_thread = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


class _Exchange:
    """One request and its answer, part by part."""

    def __init__(self, app: ASGIApp, request: httpx2.Request) -> None:
        self._app = app
        self._request = request
        self._body = _parts_of(request)
        self._body_ended = False
        self._parts: asyncio.Queue[Message | None] = asyncio.Queue(_PARTS_AHEAD)
        self._over = asyncio.Event()
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> Message:
        """Start the call; returns the start of its answer."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return await self._next()

    async def read(self) -> bytes | None:
        """The next part of the answer's body; None when there are no more."""
        message = await self._next() if not self._over.is_set() else None
        if message is None:
            return None
        if not message.get("more_body", False):
            self._over.set()
        body: bytes = message.get("body", b"")
        return body

    async def end(self) -> None:
        """Read no further."""
        self._over.set()
        if self._task is not None and not self._task.done():
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._app(self._scope(), self._receive, self._parts.put)
        except Exception as error:  # noqa: BLE001  it is raised where the answer is read
            self._error = error
        await self._parts.put(None)

    async def _next(self) -> Message:
        message = await self._parts.get()
        if message is not None:
            return message
        self._over.set()
        if self._error is not None:
            raise self._error
        raise httpx2.RemoteProtocolError("The simulator closed the connection.", request=self._request)

    async def _receive(self) -> Message:
        if self._body_ended:
            await self._over.wait()
            return {"type": "http.disconnect"}
        part = await anext(self._body, None)
        self._body_ended = part is None
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    def _scope(self) -> Scope:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
            "extensions": {DROP_EXTENSION: _drop},
        }


def _drop() -> None:
    """Nothing more has to be done: an answer that ends too early is a dropped connection."""


async def _parts_of(request: httpx2.Request) -> AsyncIterator[bytes]:
    if isinstance(request.stream, AsyncIterable):
        async for part in request.stream:
            yield part
    else:
        for part in cast("Iterable[bytes]", request.stream):
            yield part


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, transport: SimulatorTransport, exchange: _Exchange) -> None:
        self._wait_for = transport._wait_for  # noqa: SLF001  the transport's own
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        while (part := self._wait_for(self._exchange.read())) is not None:
            yield part

    def close(self) -> None:
        self._wait_for(self._exchange.end())


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._exchange.read()) is not None:
            yield part

    async def aclose(self) -> None:
        await self._exchange.end()
