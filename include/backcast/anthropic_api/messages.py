"""The synchronous Messages API: one call at a time, with a limit on the whole of it and nothing sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anthropic
import httpx2
import orjson

from backcast.anthropic_api.batches import SIMULATOR_HEADER, has_envelope, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from backcast.anthropic_api.tries import Tries

AsyncClient: TypeAlias = anthropic.AsyncAnthropic

# How often a request of a stream is sent again, at most, before its answer begins.
RETRIES: Final = 2
_RATE_LIMITED: Final = 429
_SERVER_ERROR: Final = 500
# Somebody has to mend these: no key, no money, no permission.
_NO_ACCESS: Final = frozenset({401, 402, 403})
_LIMITS: Final = ("requests", "tokens", "input-tokens", "output-tokens")


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back, as the `result` of a row of a batch would have it: a message, or what is wrong with the request.

    `exhausted_for` are the seconds that the rate limit's headers ask to wait; 0 when something is left. `simulated`
    when a simulator answered, as far as a streamed answer tells.
    """

    result: dict[str, Any]
    exhausted_for: float = 0
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was accepted.

    `retry_after` in seconds, when the API named it; `passing` when the same call may go well later.
    """

    why: str
    retry_after: float | None
    passing: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody knows whether it was answered, and paid for."""

    why: str


Reply: TypeAlias = Answered | Refused | Lost


async def send_message(client: AsyncClient, params: Mapping[str, Any], timeout: timedelta) -> Reply:  # noqa: ASYNC109  the whole call has a limit, and running into it is an outcome
    """Send one request and return how it ended: no retry, no redirect, and an end after `timeout` whatever happens."""
    seconds = timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            response = await client.post(
                "/v1/messages",
                cast_to=httpx2.Response,
                body=dict(params),
                options={"max_retries": 0, "follow_redirects": False, "timeout": seconds},
            )
            return _answered(response.content, response.headers)
    except anthropic.APIStatusError as error:
        return explained(error)
    except TimeoutError:
        return Lost(f"no answer within {seconds:g} s")
    except Exception as error:  # noqa: BLE001  whatever went wrong in the SDK or in HTTP, it may have been answered
        return Lost(f"{type(error).__name__}: {error}")


async def stream_message(
    client: AsyncClient,
    params: Mapping[str, Any],
    timeout: timedelta,  # noqa: ASYNC109  as above
    tries: Tries,
    *,
    retries: int = RETRIES,
) -> Reply:
    """Send one request, read its answer as a stream, and return how it ended, after `timeout` at the latest.

    Until the stream begins, the SDK sends it again, up to so many times, when it is refused for a passing reason or the
    connection fails; `tries`, which has begun, counts those that may be paid for. Once the stream has begun it is paid
    for: one that breaks off is lost, and not sent again.
    """
    seconds = timeout.total_seconds()
    begun = False
    try:
        async with asyncio.timeout(seconds):
            patient = client.with_options(
                max_retries=retries, timeout=seconds, middleware=[*client.middleware, tries.one]
            )
            async with patient.messages.stream(**params) as stream:
                begun = True
                message = await stream.get_final_message()
                headers = stream.response.headers
    except anthropic.APIStatusError as error:
        return Lost(f"the answer broke off: {text_of(error)}") if begun else explained(error)
    except TimeoutError:
        return Lost(f"no answer within {seconds:.3g} s")
    except Exception as error:  # noqa: BLE001  as above
        return Lost(f"{'the answer broke off' if begun else 'no answer'}: {type(error).__name__}: {error}")
    if message.stop_reason is None:
        return Lost("the answer broke off: its stream ended too early")
    result = {"type": "succeeded", "message": message.to_dict(mode="json")}
    return Answered(result, _exhausted_for(headers), SIMULATOR_HEADER in headers)


def _answered(body: bytes, headers: Mapping[str, str]) -> Answered:
    message = orjson.loads(body)
    if message.get("type") != "message":
        raise TypeError("the answer is not a message")
    return Answered({"type": "succeeded", "message": message}, _exhausted_for(headers))


def explained(error: anthropic.APIStatusError) -> Reply:
    """Return how a call ended that the API, or something before it, answered with an error."""
    status, headers = error.status_code, error.response.headers
    why = f"{status}: {text_of(error)}"
    if not has_envelope(error):
        return Lost(why)
    if status in _NO_ACCESS or "usage limits" in why:
        return Refused(why, None, passing=False)
    if status == _RATE_LIMITED:
        after = _seconds(headers.get("retry-after"))
        # A spend cap is a 429 too, but says no time after which to come again.
        return Refused(why, after, passing=after is not None)
    if status >= _SERVER_ERROR:
        return Refused(why, _seconds(headers.get("retry-after")), passing=True)
    return Answered({"type": "errored", "error": error.body})


def _exhausted_for(headers: Mapping[str, str]) -> float:
    try:
        return _seconds_to_reset(headers)
    except (ValueError, TypeError):
        # Whatever stands there, the answer was paid for.
        return 0


def _seconds_to_reset(headers: Mapping[str, str]) -> float:
    now = headers.get("date")
    resets = [
        headers.get(f"anthropic-ratelimit-{limit}-reset")
        for limit in _LIMITS
        if headers.get(f"anthropic-ratelimit-{limit}-remaining") == "0"
    ]
    if now is None:
        return 0
    # By the server's own clock, since ours may differ.
    sent_at = parsedate_to_datetime(now)
    return max(
        (max(0.0, (datetime.fromisoformat(reset) - sent_at).total_seconds()) for reset in resets if reset), default=0
    )


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None
