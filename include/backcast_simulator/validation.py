"""What the API checks when a batch is created, and what it only finds out when it processes a request."""

from __future__ import annotations

import re
from typing import Any

from backcast_simulator.catalogue import MODELS
from backcast_simulator.errors import Problem, invalid
from backcast_simulator.json_bodies import parse_object
from backcast_simulator.parameters import shape_problem
from backcast_simulator.prompts import input_tokens

MAX_REQUESTS = 100_000
MAX_BATCH_BYTES = 256 * 1024 * 1024
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
FIRST_VERSION_WITHOUT_SAMPLING = "2026-10-21"

_MAX_CUSTOM_ID = 64
_TOO_FEW_TOKENS = "max_tokens: must be greater than or equal to 1"
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SAMPLING = ("temperature", "top_p", "top_k")
_KNOWN_PARAMS = frozenset({
    "cache_control", "container", "context_management", "diagnostics", "inference_geo", "max_tokens", "mcp_servers",
    "messages", "metadata", "model", "output_config", "prefill", "service_tier", "speed", "stop_sequences", "stream",
    "system", "thinking", "tool_choice", "tools", "user_profile_id", "workspace_id",
    *_SAMPLING,
})  # fmt: skip

_COUNTED_PARAMS = frozenset({
    "cache_control", "context_management", "mcp_servers", "messages", "model", "output_config", "speed", "system",
    "thinking", "tool_choice", "tools",
})  # fmt: skip


def parse_json(body: bytes | bytearray) -> dict[str, Any]:
    """The request body as a JSON object; a 400 when it is none."""
    return parse_object(body)


def batch_requests(body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The (custom_id, params) pairs of a create call; a 400 in the API's words when they cannot be accepted."""
    requests = body.get("requests")
    if "requests" not in body:
        raise invalid("requests: Field required")
    if not isinstance(requests, list):
        raise invalid("requests: Input should be a valid list")
    if not requests:
        raise invalid("requests: List should have at least 1 item after validation, not 0")
    if len(requests) > MAX_REQUESTS:
        raise invalid(f"requests: List should have at most {MAX_REQUESTS} items after validation, not {len(requests)}")
    extra = next((name for name in body if name != "requests"), None)
    if extra is not None:
        raise invalid(f"{extra}: Extra inputs are not permitted")
    pairs = [request_pair(index, request) for index, request in enumerate(requests)]
    check_unique([custom_id for custom_id, _ in pairs])
    return pairs


def request_pair(index: int, request: object) -> tuple[str, dict[str, Any]]:
    """The custom_id and the params of one request of a create call; a 400 when it is not in their shape."""
    where = f"requests.{index}"
    if not isinstance(request, dict):
        raise invalid(f"{where}: Input should be a valid dictionary")
    for field in ("custom_id", "params"):
        if field not in request:
            raise invalid(f"{where}.{field}: Field required")
    extra = next((name for name in request if name not in ("custom_id", "params")), None)
    if extra is not None:
        raise invalid(f"{where}.{extra}: Extra inputs are not permitted")
    params = request["params"]
    if not isinstance(params, dict):
        raise invalid(f"{where}.params: Input should be a valid dictionary")
    return _custom_id(where, request["custom_id"]), params


def _custom_id(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise invalid(f"{where}.custom_id: Input should be a valid string")
    if len(value) > _MAX_CUSTOM_ID:
        raise invalid(f"{where}.custom_id: String should have at most 64 characters")
    if not _CUSTOM_ID.fullmatch(value):
        raise invalid(f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    return value


def check_unique(custom_ids: list[str]) -> None:
    """Refuse a create call in which a custom_id comes twice."""
    seen: set[str] = set()
    for custom_id in custom_ids:
        if custom_id in seen:
            raise invalid(
                f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {custom_id}"
            )
        seen.add(custom_id)


def batch_params_problem(params: dict[str, Any], version: str, betas: frozenset[str]) -> Problem | None:
    """What is wrong with one request of a batch, as its row says when the batch has ended; None when nothing is."""
    if params.get("stream"):
        return _bad('"stream=True" is not supported in the Message Batches API')
    if params.get("speed") is not None:
        return _bad('"speed" is not supported in the Message Batches API')
    if type(params.get("max_tokens")) is int and not params["max_tokens"]:
        return _bad(_TOO_FEW_TOKENS)
    return params_problem(params, version, betas)


def params_problem(params: dict[str, Any], version: str, betas: frozenset[str] = frozenset()) -> Problem | None:
    """What is wrong with the parameters of a message; None when nothing is.

    `version` is the call's anthropic-version: from 2026-10-21 on, sampling parameters are refused.
    """
    for check in (_missing_field, _bad_messages, _bad_max_tokens):
        message = check(params)
        if message is not None:
            return _bad(message)
    extra = _extra_field(params, version)
    if extra is not None:
        return _bad(f"{extra}: Extra inputs are not permitted")
    shape = shape_problem(params)
    return _over_the_model_limits(params, betas) if shape is None else _bad(shape)


def prompt_problem(params: dict[str, Any], version: str) -> Problem | None:
    """What is wrong with the parameters of a count_tokens call; None when nothing is."""
    extra = next((name for name in params if name not in _COUNTED_PARAMS), None)
    if extra is not None:
        return _bad(f"{extra}: Extra inputs are not permitted")
    model = params.get("model")
    known = MODELS.get(model) if isinstance(model, str) else None
    return params_problem({**params, "max_tokens": known.max_tokens if known else 1}, version)


def _bad(message: str) -> Problem:
    return Problem("invalid_request_error", message)


def _missing_field(params: dict[str, Any]) -> str | None:
    missing = next((name for name in ("model", "messages", "max_tokens") if name not in params), None)
    return None if missing is None else f"{missing}: Field required"


def _bad_messages(params: dict[str, Any]) -> str | None:
    messages = params["messages"]
    if not isinstance(messages, list):
        return "messages: Input should be a valid list"
    if not messages:
        return "messages: at least one message is required"
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"messages.{index}: Input should be a valid dictionary"
        for field in ("role", "content"):
            if field not in message:
                return f"messages.{index}.{field}: Field required"
    return None


def _bad_max_tokens(params: dict[str, Any]) -> str | None:
    value = params["max_tokens"]
    if not isinstance(value, int) or isinstance(value, bool):
        return "max_tokens: Input should be a valid integer"
    # 0 asks for no answer: the prompt is written to the cache. A batch does not take that.
    return _TOO_FEW_TOKENS if value < 0 else None


def _extra_field(params: dict[str, Any], version: str) -> str | None:
    if version >= FIRST_VERSION_WITHOUT_SAMPLING:
        sampling = next((name for name in _SAMPLING if name in params), None)
        if sampling is not None:
            return sampling
    return next((name for name in params if name not in _KNOWN_PARAMS), None)


def _over_the_model_limits(params: dict[str, Any], betas: frozenset[str]) -> Problem | None:
    name = params["model"]
    model = MODELS.get(name) if isinstance(name, str) else None
    if model is None:
        return Problem("not_found_error", f"model: {name}")
    limit = model.output_limit(betas)
    if params["max_tokens"] > limit:
        return _bad(
            f"max_tokens: {params['max_tokens']} > {limit}, "
            f"which is the maximum allowed number of output tokens for {name}"
        )
    tokens = input_tokens(params)
    if tokens > model.max_input_tokens:
        return _bad(f"prompt is too long: {tokens} tokens > {model.max_input_tokens} maximum")
    return None
