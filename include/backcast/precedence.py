"""Finds the value of a setting, and says where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Origin(StrEnum):
    """Where a value comes from; each wins over those below it."""

    PARAMETER = "parameter"
    ENVIRONMENT = "environment"
    FILE = "workflow.yaml"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """What may be set, and where.

    Attributes:
        name: its path in `workflow.yaml`, such as `source.ref`.
        parameter: its name among a DAG run's parameters; None when they do not hold it.
        variable: its environment variable; None when there is none.
        default: its value when it is set nowhere.
    """

    name: str
    parameter: str | None = None
    variable: str | None = None
    default: Any = None


@dataclass(frozen=True, slots=True)
class Found:
    """The value of a setting. `line`, counted from 1, when it comes from the file."""

    setting: Setting
    value: Any
    origin: Origin
    line: int | None = None


# What a form sends for a field that was left empty.
_EMPTY: Final[tuple[object, ...]] = (None, "", [], ())


@dataclass(frozen=True, slots=True)
class Layers:
    """The places where values stand: run parameters over environment over the declared file, with its lines."""

    parameters: Mapping[str, Any]
    environment: Mapping[str, str]
    declared: Mapping[str, Any]
    lines: Mapping[str, int]

    def resolve(self, settings: Iterable[Setting]) -> dict[str, Found]:
        """Return the value of each setting, by its name."""
        return {setting.name: self._find(setting) for setting in settings}

    def _find(self, setting: Setting) -> Found:
        given = self.parameters.get(setting.parameter) if setting.parameter else None
        if given not in _EMPTY:
            return Found(setting, given, Origin.PARAMETER)
        if setting.variable and (text := self.environment.get(setting.variable)):
            return Found(setting, text, Origin.ENVIRONMENT)
        declared = _at(self.declared, setting.name)
        if declared is not None:
            return Found(setting, declared, Origin.FILE, self.lines.get(setting.name))
        return Found(setting, setting.default, Origin.DEFAULT)


def _at(declared: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  YAML holds anything
    value: Any = declared
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
