"""The Message Batches API as the services use it, over the SDK, with nothing sent twice behind their back."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import anthropic
import httpx2
from anthropic.types.messages import MessageBatch

from backcast.anthropic_api.models import facts_of, supports
from backcast.domain.checkup import ModelFacts
from backcast.domain.errors import ApiError, InDoubtError, InputError

Client: TypeAlias = anthropic.Anthropic
Connect: TypeAlias = Callable[[], Coroutine[Any, Any, anthropic.AsyncAnthropic]]

# Statuses that mean, with the API's own error envelope, that nothing was accepted. 408, 409, 499 and 5xx are not
# among them: the request may have gone through behind them.
_REFUSALS = frozenset({400, 401, 402, 403, 404, 429})
_TOO_LARGE = 413
_RATE_LIMITED = 429
_PAGE = 1_000
# What of a request's `params` a prompt is made of.
_COUNTED = ("messages", "model", "output_config", "system", "thinking", "tool_choice", "tools")
SIMULATOR_HEADER = "x-backcast-simulator"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the API says before anything is sent: its own clock if it tells it, and whether a simulator answers.

    `structured_outputs` when the model can be asked to keep to a JSON schema; `facts` is what is told of the model.
    """

    server_time: datetime | None
    simulated: bool
    structured_outputs: bool = False
    facts: ModelFacts = field(default_factory=ModelFacts)


@dataclass(frozen=True, slots=True)
class ApiBatch:
    """A batch as the API sees it; `counts` are its `request_counts` by name, final once `ended_at` is set."""

    api_batch_id: str
    status: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    cancel_initiated_at: datetime | None
    counts: dict[str, int]

    @property
    def request_count(self) -> int:
        """How many requests it holds, as far as its counts say; 0 says nothing."""
        return sum(self.counts.values())


class RefusedError(ApiError):
    """The API refused us and nothing was accepted; `passing` when the same call may be taken later."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


def api_from_environment() -> MessageBatchesApi:
    """Return the API that the SDK's own environment names: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` and the like."""

    async def connect() -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic()

    client = anthropic.Anthropic()
    if not (client.api_key or client.auth_token):
        raise InputError("There is no API key. Set ANTHROPIC_API_KEY, and ANTHROPIC_BASE_URL for another address.")
    return MessageBatchesApi(client, connect)


class MessageBatchesApi:
    """One workspace of the API.

    Args:
        client: the SDK's client, with the key and base URL to use.
        connect: makes an asynchronous client with the same key and base URL; only such a one can be given a limit
            on the whole of a call, since the SDK's timeout is for each read.
    """

    def __init__(self, client: Client, connect: Connect) -> None:
        self._client = client
        self._connect = connect

    async def connect(self) -> anthropic.AsyncAnthropic:
        """Return an asynchronous client with the same key and base URL; whoever gets it closes it."""
        return await self._connect()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return str(self._client.base_url).rstrip("/")

    @property
    def key_fingerprint(self) -> str:
        """Tells two API keys apart without telling either."""
        key = self._client.api_key or self._client.auth_token or ""
        return hmac.new(b"backcast key fingerprint", key.encode(), hashlib.sha256).hexdigest()[:16]

    @property
    def workspace(self) -> dict[str, str]:
        """Which workspace this is, as the ledger writes it down: by address and key."""
        return {"base_url": self.base_url, "key_fingerprint": self.key_fingerprint}

    def preflight(self, model: str) -> Preflight:
        """Ask for the model: shows that the API is there, takes our key, and has the model.

        Raises:
            ApiError: it cannot be reached, or does not take our key.
            InputError: it has no such model.
        """
        with self._explained():
            try:
                response = self._client.models.with_raw_response.retrieve(model)
            except anthropic.NotFoundError as error:
                raise InputError(
                    f"The API at {self.base_url} has no model {model!r} ({text_of(error)}). Choose one that it has."
                ) from error
        info = response.parse()
        return Preflight(
            server_time=_server_time(response.headers.get("date")),
            simulated=SIMULATOR_HEADER in response.headers,
            structured_outputs=supports(info, "structured_outputs") or False,
            facts=facts_of(info, model),
        )

    def look(self) -> Preflight:
        """Ask for any model: shows that the API is there and takes our key.

        Raises:
            ApiError: it cannot be reached, or does not take our key.
        """
        with self._explained():
            response = self._client.models.with_raw_response.list(limit=1)
        return Preflight(
            server_time=_server_time(response.headers.get("date")), simulated=SIMULATOR_HEADER in response.headers
        )

    def impatient(self, timeout: timedelta) -> MessageBatchesApi:
        """Return the same workspace for somebody who waits: no retry, and no read takes longer than `timeout`."""
        client = self._client.with_options(timeout=timeout.total_seconds(), max_retries=0)
        return MessageBatchesApi(client, self._connect)

    def count_tokens(self, params: Mapping[str, Any]) -> int:
        """Return how many tokens the API counts in the prompt of a request; costs nothing.

        Raises:
            ApiError: it does not say.
        """
        with self._explained():
            counted = {name: params[name] for name in _COUNTED if name in params}
            return self._client.messages.count_tokens(**counted).input_tokens

    def create(self, body: Iterator[bytes], timeout: timedelta) -> ApiBatch:
        """Send one create call, once: no retry, no redirect, and an end after `timeout` whatever happens.

        Args:
            body: the JSON body in pieces; it is streamed and read once.
            timeout: for the whole call, elapsed time.

        Raises:
            RefusedError: nothing was accepted.
            InDoubtError: nobody knows whether it was accepted.
        """
        return asyncio.run(self._create(body, timeout.total_seconds()))

    async def _create(self, body: Iterator[bytes], seconds: float) -> ApiBatch:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in body:
                yield chunk

        client = await self._connect()
        try:
            async with asyncio.timeout(seconds):
                batch = await client.post(
                    "/v1/messages/batches",
                    cast_to=MessageBatch,
                    content=chunks(),
                    options={
                        "headers": {"content-type": "application/json"},
                        "max_retries": 0,
                        "follow_redirects": False,
                        "timeout": seconds,
                    },
                )
                return _api_batch(batch)
        except anthropic.APIStatusError as error:
            if _is_refusal(error):
                raise RefusedError(
                    f"The API refused the batch with {error.status_code}: {text_of(error)}",
                    # A spend cap is a 429 too, but says no time after which to come again.
                    passing=error.status_code == _RATE_LIMITED and "retry-after" in error.response.headers,
                ) from error
            raise InDoubtError(f"the API answered {error.status_code}, which does not say") from error
        except TimeoutError as error:
            raise InDoubtError(f"the API gave no answer within {seconds:g} s") from error
        except Exception as error:
            # Whatever else can go wrong, in the SDK, in HTTP or in reading the answer, the batch may exist.
            raise InDoubtError(f"the call ended with {type(error).__name__}: {error}") from error
        finally:
            await client.close()

    def retrieve(self, api_batch_id: str) -> ApiBatch:
        """Return a batch as it stands.

        Raises:
            ApiError: it cannot be read now.
        """
        with self._explained():
            return _api_batch(self._client.messages.batches.retrieve(api_batch_id))

    def batches_since(self, since: datetime) -> Iterator[ApiBatch]:
        """List the workspace's batches, newest first, down to those created at `since`.

        Raises:
            ApiError: a page cannot be read, so what was listed is not complete.
        """
        with self._explained():
            for batch in self._client.messages.batches.list(limit=_PAGE):
                if batch.created_at < since:
                    return
                yield _api_batch(batch)

    def cancel(self, api_batch_id: str) -> ApiBatch:
        """Ask for a batch to be canceled and return it as it then stands; one that has ended is only read.

        Raises:
            ApiError: it cannot be canceled or read now.
        """
        with self._explained():
            try:
                return _api_batch(self._client.messages.batches.cancel(api_batch_id))
            except anthropic.BadRequestError:
                # What the API says of a batch that has ended; if it has not, reading it shows that.
                return _api_batch(self._client.messages.batches.retrieve(api_batch_id))

    @contextmanager
    def result_lines(self, api_batch_id: str) -> Iterator[Iterator[bytes]]:
        r"""Stream the result rows of an ended batch, a line of JSON each.

        Split on ``\n`` only, since a row may hold U+2028. A broken stream raises ApiError, after whole lines only.
        """
        with (
            self._explained(),
            self._client.messages.batches.with_streaming_response.results(api_batch_id) as response,
        ):
            yield self._explained_lines(response.iter_bytes())

    def _explained_lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        # Explained here too, so that whoever reads the lines can keep what came before a break.
        with self._explained():
            yield from _lines(chunks)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except anthropic.APIConnectionError as error:
            raise ApiError(
                f"The API at {self.base_url} cannot be reached ({error.__cause__ or error}). Check the connection "
                "anthropic_default, or ANTHROPIC_BASE_URL."
            ) from error
        except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
            raise RefusedError(
                f"The API at {self.base_url} does not take the key ({text_of(error)}). Check the key in the connection "
                "anthropic_default, or ANTHROPIC_API_KEY."
            ) from error
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise ApiError(f"The API at {self.base_url} gave no usable answer: {error}") from error


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
            continue
        first, *whole, last = chunk.split(b"\n")
        yield bytes(rest) + first
        yield from whole
        rest = bytearray(last)
    # What stands after the last newline was cut off, unless the server ends without one; the reader can tell.
    if rest:
        yield bytes(rest)


def _is_refusal(error: anthropic.APIStatusError) -> bool:
    if error.status_code == _TOO_LARGE:
        # Written by the edge, before the API, in whatever form.
        return True
    return error.status_code in _REFUSALS and has_envelope(error)


def has_envelope(error: anthropic.APIStatusError) -> bool:
    """Whether the API itself wrote this error, and not something on the way to it."""
    body = error.body
    return isinstance(body, dict) and body.get("type") == "error" and isinstance(body.get("error"), dict)


def text_of(error: anthropic.APIStatusError) -> str:
    """Return what the API says is wrong."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return str(body["error"].get("message") or body["error"].get("type"))
    return str(error.message)


def _api_batch(batch: MessageBatch) -> ApiBatch:
    if not isinstance(batch.id, str) or not isinstance(batch.expires_at, datetime):
        # The SDK builds its models without validation, so a stranger's 200 would pass for a batch.
        raise TypeError("the answer is not a message batch")
    return ApiBatch(
        api_batch_id=batch.id,
        status=batch.processing_status,
        created_at=batch.created_at,
        expires_at=batch.expires_at,
        ended_at=batch.ended_at,
        cancel_initiated_at=batch.cancel_initiated_at,
        counts=batch.request_counts.model_dump(include={"processing", "succeeded", "errored", "canceled", "expired"}),
    )


def _server_time(header: str | None) -> datetime | None:
    return parsedate_to_datetime(header) if header else None
