"""The knobs of a simulator that hold for all its calls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from backcast_simulator.errors import invalid
from backcast_simulator.outcomes import Odds

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_WORKSPACE = "default"
ALL_LANGUAGES = "all"
Tier = Literal["start", "build", "scale"]
SpendLimitKind = Literal["tier", "customer"]


@dataclass(frozen=True, slots=True)
class Readings:
    """How the simulator behaves where no source settles what the API does; the first value of each is the default.

    counts: all `processing` until the whole batch has ended, or moving while it is in progress.
    cancel_ended: a cancel of an ended batch is refused with a 400, or answered with the batch.
    error_request_id: the request_id in an errored row is null, or `workerreq_…`.
    early_results: results before the end are a 404, or a 400.
    too_large: a body over the limit is answered with the error envelope, or with the HTML of an edge server.
    poll_retry_after: a poll of a batch in progress carries no `retry-after`, or one of ten seconds.
    enum_casing: the casing of enum values in structured answers is that of the schema, or varied.
    """

    counts: Literal["at_end", "moving"] = "at_end"
    cancel_ended: Literal["refuse", "return"] = "refuse"
    error_request_id: Literal["null", "workerreq"] = "null"
    early_results: Literal["not_found", "invalid_request"] = "not_found"
    too_large: Literal["envelope", "html"] = "envelope"
    poll_retry_after: Literal["none", "ten"] = "none"
    enum_casing: Literal["exact", "varied"] = "exact"


READINGS: dict[str, tuple[str, ...]] = {name: get_args(hint) for name, hint in get_type_hints(Readings).items()}


def change_readings(readings: Readings, changes: object) -> Readings:
    """The readings with these changes, given by name; a 400 that says what there is."""
    if not isinstance(changes, dict):
        raise invalid("settings: a JSON object is expected")
    for name, value in changes.items():
        if name not in READINGS:
            raise invalid(f"settings.{name}: one of {', '.join(READINGS)} is expected")
        if value not in READINGS[name]:
            raise invalid(f"settings.{name}: one of {', '.join(READINGS[name])} is expected")
    return replace(readings, **changes)


@dataclass(frozen=True, slots=True)
class SpendLimit:
    """A limit on what the bill may come to, in US$, set by the tier or by the customer."""

    usd: float
    kind: SpendLimitKind = "customer"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a simulator behaves.

    `api_keys` are those of the default workspace, `workspaces` maps the other keys to theirs; without either, any
    key will do. Without a `tier` batch endpoints are not rate limited, without `messages_per_minute` messages are not.
    `needs_example` are the languages, in lower case, whose documents are answered well only after an example in the
    same language; with `all` among them it is every language.
    """

    odds: Odds = field(default_factory=Odds)
    api_keys: frozenset[str] = frozenset()
    workspaces: Mapping[str, str] = field(default_factory=dict)
    readings: Readings = Readings()
    tier: Tier | None = None
    messages_per_minute: int | None = None
    spend_limit: SpendLimit | None = None
    needs_example: frozenset[str] = frozenset()

    def workspace_of(self, key: str) -> str | None:
        """The workspace of a key; None when the key is not valid."""
        if key in self.workspaces:
            return self.workspaces[key]
        return DEFAULT_WORKSPACE if key in self.api_keys or not (self.api_keys or self.workspaces) else None


def change_settings(settings: Settings, changes: object) -> Settings:
    """The settings with these changes: readings by name, and `needs_example`; a 400 that says what there is."""
    if not isinstance(changes, dict):
        raise invalid("settings: a JSON object is expected")
    readings: dict[str, Any] = {name: value for name, value in changes.items() if name != "needs_example"}
    unknown = next((name for name in readings if name not in READINGS), None)
    if unknown is not None:
        raise invalid(f"settings.{unknown}: one of {', '.join(READINGS)}, needs_example is expected")
    languages = settings.needs_example
    if "needs_example" in changes:
        languages = read_languages(changes["needs_example"])
    return replace(settings, readings=change_readings(settings.readings, readings), needs_example=languages)


def read_languages(given: object) -> frozenset[str]:
    """The languages in a list of names, in lower case; a 400 when it is none."""
    entries = given if isinstance(given, list) else [None]
    names = [name.strip().lower() if isinstance(name, str) else "" for name in entries]
    if not all(names):
        raise invalid(
            'settings.needs_example: a list of languages is expected, as documents name theirs, such as ["go", "yaml"]'
            f' or ["{ALL_LANGUAGES}"]; [] for none'
        )
    return frozenset(names)
