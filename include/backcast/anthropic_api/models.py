"""What the API and its SDK tell of a model, read with care: the SDK builds its models without validation."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from anthropic.resources.messages import messages as sdk_messages

from backcast.domain.checkup import ModelFacts

if TYPE_CHECKING:
    from anthropic.types import ModelInfo

_LIFECYCLES: Final = ("active", "deprecated", "retired")
_ORDINAL: Final = re.compile(r"(?<=\d)(st|nd|rd|th)\b")


def facts_of(info: ModelInfo, model: str) -> ModelFacts:
    """Return what the API tells of a model; of its end, what the SDK knows where the API says nothing."""
    lifecycle = getattr(info, "lifecycle", None)
    by_sdk = facts_by_sdk(model)
    says = lifecycle in _LIFECYCLES
    return ModelFacts(
        batches=supports(info, "batch"),
        lifecycle=lifecycle if says else by_sdk.lifecycle,
        ends_at=_moment(getattr(info, "retires_at", None)) or (None if lifecycle == "active" else by_sdk.ends_at),
    )


def facts_by_sdk(model: str) -> ModelFacts:
    """Return what this version of the SDK knows of a model's end without asking anybody."""
    # Not part of the SDK's public interface, so that another version may lack it.
    ends = getattr(sdk_messages, "DEPRECATED_MODELS", {}).get(model)
    if ends is None:
        return ModelFacts()
    return ModelFacts(lifecycle="deprecated", ends_at=_day(str(ends)))


def supports(info: ModelInfo, capability: str) -> bool | None:
    """Whether the API says that a model has a capability; None when it does not say."""
    supported: Any = getattr(getattr(info.capabilities, capability, None), "supported", None)
    return supported if isinstance(supported, bool) else None


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(_ORDINAL.sub("", text), "%B %d, %Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
