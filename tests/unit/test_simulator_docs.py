"""The page about the simulator names only what there is, and all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backcast_simulator.control_routes import ControlRoutes
from backcast_simulator.faults import BATCH_KINDS, CALL_KINDS, ENDPOINTS, ROW_KINDS
from backcast_simulator.knobs import knobs
from backcast_simulator.rule_format import OUTCOMES
from backcast_simulator.rules import Conditions
from backcast_simulator.settings import READINGS
from backcast_simulator.weather import WEATHERS

TESTS = Path(__file__).parents[1]
FAULTS = {**CALL_KINDS, **ROW_KINDS, **BATCH_KINDS}
PAGE = (TESTS.parent / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_test_named_on_the_page_exists() -> None:
    sources = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_simulator_*.py")]
    existing = {name for source in sources for name in re.findall(r"^ *def (test_\w+)", source, re.MULTILINE)}
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 60
    assert named <= existing


def test_every_option_of_the_command_line_says_what_it_is_for() -> None:
    assert not [option.name for option in knobs(lambda _: None).params if not getattr(option, "help", None)]


def test_every_option_of_the_command_line_is_on_the_page_and_no_other() -> None:
    options = {name for option in knobs(lambda _: None).params for name in option.opts if name.startswith("--")}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) == options


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(OUTCOMES, id="outcomes"),
        pytest.param(Conditions.__slots__, id="conditions"),
        pytest.param(list(FAULTS), id="faults"),
        pytest.param([option for options in FAULTS.values() for option in options], id="options of faults"),
        pytest.param(list(ENDPOINTS), id="endpoints of faults"),
        pytest.param([*READINGS, *(value for values in READINGS.values() for value in values)], id="readings"),
        pytest.param(list(WEATHERS), id="weathers"),
    ],
)
def test_every_name_that_one_may_write_is_on_the_page(names: list[str]) -> None:
    assert not [name for name in names if f"`{name}`" not in PAGE]


def test_every_way_to_steer_it_is_on_the_page() -> None:
    paths = {path for _, path, _ in ControlRoutes(None).table()}  # type: ignore[arg-type]
    assert not [path for path in paths if path not in PAGE]
