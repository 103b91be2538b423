"""Reading request bodies up to a limit, chunked or not."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from backcast_simulator.errors import ApiError, Problem

# A client that is still sending sees a broken connection, not the 413, unless its body is read to the end.
_DRAINED_AT_MOST = 4


async def read_body(request: Request, limit: int) -> bytearray:
    """The whole body; a 413 when it is longer than `limit` bytes."""
    body = bytearray()
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received <= limit:
                body += chunk
            elif received > limit * _DRAINED_AT_MOST:
                break
    except ClientDisconnect:
        raise ApiError(Problem("invalid_request_error", "The request body was cut off")) from None
    if received > limit:
        raise ApiError(Problem("request_too_large", f"Request exceeds the maximum size of {limit} bytes"))
    return body
