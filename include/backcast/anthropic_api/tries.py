"""What the SDK sends again before an answer begins, counted: it may all be paid for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anthropic import APIRequest, AsyncAPIResponse

_SERVER_ERROR = 500
# With these, nothing was sent.
_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Tries:
    """Counts what the SDK sends again by itself: a connection that fails tells not whether it was answered.

    Attributes:
        lost: how many tries that may be paid for were followed by another.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._left = 0
        self._unknown = ""

    def begin(self, most_paid: int) -> None:
        """Begin another request, of which no more than `most_paid` tries may be paid for."""
        self._left, self._unknown = most_paid, ""

    async def one(
        self, request: APIRequest, call_next: Callable[[APIRequest], Awaitable[AsyncAPIResponse[Any]]]
    ) -> AsyncAPIResponse[Any]:
        """Pass one try on: the SDK's middleware.

        Raises:
            NotAgainError: what was sent may be paid for, and once more would be too often.
        """
        if self._unknown:
            if self._left <= 1:
                raise NotAgainError(self._unknown)
            self._left -= 1
            self.lost += 1
        try:
            response = await call_next(request)
        except anthropic.APIConnectionError as error:
            self._unknown = "" if isinstance(error.__cause__, _NOT_CONNECTED) else str(error)
            raise
        # What is no JSON was said by something before the API, which may have passed the request on.
        by_api = "json" in response.headers.get("content-type", "")
        self._unknown = "" if response.status_code < _SERVER_ERROR or by_api else f"status {response.status_code}"
        return response


class NotAgainError(Exception):
    """What was sent may be paid for, and there is no money to send it once more."""
