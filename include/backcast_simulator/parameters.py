"""The shapes of a message's parameters: what the API says about a field of the wrong type or value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backcast_simulator.pdf import pdf_problem
from backcast_simulator.structured import requested_schema, schema_problem

MOST_BREAKPOINTS = 4
_LEAST_THINKING = 1024
_TTLS = ("5m", "1h")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_BLOCKS = frozenset({
    "bash_code_execution_tool_result", "code_execution_tool_result", "container_upload", "document", "image",
    "redacted_thinking", "search_result", "server_tool_use", "text", "text_editor_code_execution_tool_result",
    "thinking", "tool_reference", "tool_result", "tool_search_tool_result", "tool_use", "web_fetch_tool_result",
    "web_search_tool_result",
})  # fmt: skip

Check = Callable[[dict[str, Any]], str | None]


def shape_problem(params: dict[str, Any]) -> str | None:
    """What is wrong with the fields that are there; None when nothing is. Other checks see to missing fields."""
    for check in _CHECKS:
        message = check(params)
        if message is not None:
            return message
    return None


def _choice(where: str, value: object, options: tuple[str, ...]) -> str | None:
    if value in options:
        return None
    *first, last = [f"'{option}'" for option in options]
    return f"{where}: Input should be {', '.join(first)} or {last}" if first else f"{where}: Input should be {last}"


def _integer(where: str, value: object) -> str | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return None if is_integer else f"{where}: Input should be a valid integer"


def _model(params: dict[str, Any]) -> str | None:
    return None if isinstance(params.get("model", ""), str) else "model: Input should be a valid string"


def _stream(params: dict[str, Any]) -> str | None:
    return None if isinstance(params.get("stream", False), bool) else "stream: Input should be a valid boolean"


def _messages(params: dict[str, Any]) -> str | None:
    for index, message in enumerate(params["messages"]):
        where = f"messages.{index}"
        extra = next((name for name in message if name not in ("role", "content")), None)
        problem = (
            (extra and f"{where}.{extra}: Extra inputs are not permitted")
            or _choice(f"{where}.role", message["role"], ("user", "assistant"))
            or _content(f"{where}.content", message["content"])
            or _emptiness(where, message["content"])
        )
        if problem is not None:
            return problem
    return None


def _emptiness(where: str, content: object) -> str | None:
    if content:
        return None
    return f"{where}: all messages must have non-empty content except for the optional final assistant message"


def _content(where: str, content: object) -> str | None:
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return f"{where}: Input should be a valid list"
    return next(filter(None, (_block(f"{where}.{index}", block) for index, block in enumerate(content))), None)


def _block(where: str, block: object) -> str | None:
    if not isinstance(block, dict):
        return f"{where}: Input should be a valid dictionary"
    kind = block.get("type")
    if kind is None:
        return f"{where}.type: Field required"
    if not isinstance(kind, str) or kind not in _BLOCKS:
        return f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
    if kind == "text":
        return _text_block(where, block)
    if kind == "document" and (problem := _document_source(f"{where}.source", block.get("source"))) is not None:
        return problem
    return _cache_control(f"{where}.cache_control", block.get("cache_control"))


def _document_source(where: str, source: object) -> str | None:
    if not isinstance(source, dict):
        return f"{where}: Field required" if source is None else f"{where}: Input should be a valid dictionary"
    if source.get("type") != "base64":
        return None
    problem = _choice(f"{where}.media_type", source.get("media_type"), ("application/pdf",))
    if problem is not None:
        return problem
    what = pdf_problem(source)
    return None if what is None else f"{where}.data: {what}"


def _text_block(where: str, block: dict[str, Any]) -> str | None:
    if "text" not in block:
        return f"{where}.text: Field required"
    if not isinstance(block["text"], str):
        return f"{where}.text: Input should be a valid string"
    extra = next((name for name in block if name not in ("type", "text", "cache_control", "citations")), None)
    if extra is not None:
        return f"{where}.{extra}: Extra inputs are not permitted"
    return _cache_control(f"{where}.cache_control", block.get("cache_control"))


def _cache_control(where: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return f"{where}: Input should be a valid dictionary"
    if value.get("type") != "ephemeral":
        return f"{where}.type: Input should be 'ephemeral'"
    extra = next((name for name in value if name not in ("type", "ttl")), None)
    if extra is not None:
        return f"{where}.{extra}: Extra inputs are not permitted"
    return _choice(f"{where}.ttl", value.get("ttl", "5m"), _TTLS)


def _top_cache_control(params: dict[str, Any]) -> str | None:
    return _cache_control("cache_control", params.get("cache_control"))


def _system(params: dict[str, Any]) -> str | None:
    system = params.get("system", "")
    if isinstance(system, str):
        return None
    if not isinstance(system, list):
        return "system: Input should be a valid list"
    for index, block in enumerate(system):
        where = f"system.{index}"
        if not isinstance(block, dict):
            return f"{where}: Input should be a valid dictionary"
        problem = _choice(f"{where}.type", block.get("type"), ("text",)) or _text_block(where, block)
        if problem is not None:
            return problem
    return None


def _breakpoints(params: dict[str, Any]) -> str | None:
    ttls = [block["cache_control"].get("ttl", "5m") for block in cacheable_blocks(params) if block.get("cache_control")]
    found = len(ttls) + bool(params.get("cache_control"))
    if found > MOST_BREAKPOINTS:
        return f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {found}."
    if "5m" in ttls and "1h" in ttls[ttls.index("5m") :]:
        return "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"
    return None


def cacheable_blocks(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools and content blocks of well-formed parameters, in the order in which a prompt has them."""
    contents = [params.get("system"), *(message["content"] for message in params["messages"])]
    blocks: list[dict[str, Any]] = list(params.get("tools") or [])
    for content in contents:
        blocks += content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    return blocks


def _stop_sequences(params: dict[str, Any]) -> str | None:
    value = params.get("stop_sequences", [])
    if not isinstance(value, list):
        return "stop_sequences: Input should be a valid list"
    for index, sequence in enumerate(value):
        if not isinstance(sequence, str):
            return f"stop_sequences.{index}: Input should be a valid string"
        if not sequence.strip():
            return f"stop_sequences.{index}: each stop sequence must contain non-whitespace"
    return None


def _tools(params: dict[str, Any]) -> str | None:
    value = params.get("tools", [])
    if not isinstance(value, list):
        return "tools: Input should be a valid list"
    return next(filter(None, (_tool(f"tools.{index}", tool) for index, tool in enumerate(value))), None)


def _tool(where: str, tool: object) -> str | None:
    if not isinstance(tool, dict):
        return f"{where}: Input should be a valid dictionary"
    if not isinstance(tool.get("type", "custom"), str | None):
        return f"{where}.type: Input should be a valid string"
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        return f"{where}.name: {'Input should be a valid string' if 'name' in tool else 'Field required'}"
    if tool.get("type") in (None, "custom"):
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            missing = "input_schema" not in tool
            return f"{where}.input_schema: {'Field required' if missing else 'Input should be a valid dictionary'}"
        if schema.get("type") != "object":
            return f"{where}.input_schema.type: Input should be 'object'"
    return _cache_control(f"{where}.cache_control", tool.get("cache_control"))


def _tool_choice(params: dict[str, Any]) -> str | None:
    if "tool_choice" not in params:
        return None
    value = params["tool_choice"]
    if not isinstance(value, dict):
        return "tool_choice: Input should be a valid dictionary"
    kinds = ("auto", "any", "tool", "none")
    problem = _choice("tool_choice.type", value.get("type"), kinds)
    if problem is not None:
        return problem
    names = [tool["name"] for tool in params.get("tools", [])]
    if value["type"] == "tool" and value.get("name") not in names:
        return f"tool_choice.name: Tool '{value.get('name')}' not found in provided tools"
    if value["type"] == "any" and not names:
        return "tool_choice: tool_choice may only be specified while providing tools"
    return None


def _thinking(params: dict[str, Any]) -> str | None:
    value = params.get("thinking")
    if "thinking" not in params:
        return None
    if not isinstance(value, dict):
        return "thinking: Input should be a valid dictionary"
    problem = _choice("thinking.type", value.get("type"), ("enabled", "disabled", "adaptive"))
    if problem is not None or value["type"] != "enabled":
        return problem
    budget = value.get("budget_tokens")
    problem = _integer("thinking.enabled.budget_tokens", budget)
    if problem is not None or not isinstance(budget, int):
        return problem
    if budget < _LEAST_THINKING:
        return f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_THINKING}"
    return "`max_tokens` must be greater than `thinking.budget_tokens`" if params["max_tokens"] <= budget else None


def _metadata(params: dict[str, Any]) -> str | None:
    value = params.get("metadata", {})
    if not isinstance(value, dict):
        return "metadata: Input should be a valid dictionary"
    extra = next((name for name in value if name != "user_id"), None)
    if extra is not None:
        return f"metadata.{extra}: Extra inputs are not permitted"
    return None if isinstance(value.get("user_id"), str | None) else "metadata.user_id: Input should be a valid string"


def _output_config(params: dict[str, Any]) -> str | None:
    if "output_config" not in params:
        return None
    value = params["output_config"]
    if not isinstance(value, dict):
        return "output_config: Input should be a valid dictionary"
    extra = next((name for name in value if name not in ("effort", "format")), None)
    if extra is not None:
        return f"output_config.{extra}: Extra inputs are not permitted"
    effort, wanted = value.get("effort"), value.get("format")
    if effort is not None:
        problem = _choice("output_config.effort", effort, _EFFORTS)
        if problem is not None:
            return problem
    return None if wanted is None else _format(wanted, params)


def _format(wanted: object, params: dict[str, Any]) -> str | None:
    where = "output_config.format"
    if not isinstance(wanted, dict):
        return f"{where}: Input should be a valid dictionary"
    if wanted.get("type") != "json_schema":
        return f"{where}.type: Input should be 'json_schema'"
    extra = next((name for name in wanted if name not in ("type", "schema")), None)
    if extra is not None:
        return f"{where}.{extra}: Extra inputs are not permitted"
    schema = requested_schema(params)
    if schema is None:
        missing = "schema" not in wanted
        return f"{where}.schema: {'Field required' if missing else 'Input should be a valid dictionary'}"
    return schema_problem(schema)


def _service_tier(params: dict[str, Any]) -> str | None:
    return _choice("service_tier", params.get("service_tier", "auto"), ("auto", "standard_only"))


_CHECKS: tuple[Check, ...] = (
    _model, _stream, _messages, _system, _tools, _top_cache_control, _breakpoints, _stop_sequences, _tool_choice,
    _thinking, _metadata, _output_config, _service_tier,
)  # fmt: skip
