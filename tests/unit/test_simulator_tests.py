"""The simulator's tests of a file hold for it; a share is faulty at first, and right when it is told what is wrong."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from backcast_simulator.answers import AnalystAnswerer
from backcast_simulator.prompts import document_asked_about
from backcast_simulator.python_tests import answer_with_tests, module_name

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = '''
"""Prices."""
import os
from functools import cache, lru_cache as remembered

RATE = 19
NAMES: tuple[str, ...] = ("a", "b")
UNSURE = os.environ.get("X")
NOT_A_NUMBER = float("nan")
BOUND_TWICE = 1
BOUND_TWICE = 2


def with_tax(net, /, rate=RATE, *more, rounded=True, **options):
    return net


async def later(): ...


@cache
def decorated(x): ...


def replaced(x): ...


def replaced(y, z): ...


def _private(): ...


class Order:
    """An order."""

    lines: list

    def total(self): ...

    def _inner(self): ...


if RATE > 5:
    def conditional(): ...
'''
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tests", "note"],
    "properties": {
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["content", "covers"],
                "properties": {"content": {"type": "string"}, "covers": {"type": "array", "items": {"type": "string"}}},
            },
        },
        "note": {"type": "string"},
    },
}
WRONG = "That answer cannot be used: line 1: nope"


@pytest.fixture
def module() -> Iterator[None]:
    made = ModuleType("shop.prices")
    exec(SOURCE, made.__dict__)
    package = ModuleType("shop")
    package.prices = made  # type: ignore[attr-defined]
    sys.modules |= {"shop": package, "shop.prices": made}
    yield
    del sys.modules["shop"], sys.modules["shop.prices"]


def run(content: str) -> int:
    """Run the tests of a file, and return how many there are."""
    names: dict[str, Any] = {}
    exec(compile(content, "test_prices.py", "exec"), names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


@pytest.mark.usefixtures("module")
def test_its_tests_hold_for_the_file_that_they_are_about() -> None:
    answer = answer_with_tests("src/shop/prices.py", SOURCE, None, 0.0)
    [file] = answer["tests"]
    assert file["covers"] == ["RATE", "NAMES", "with_tax", "later", "Order"]
    assert run(file["content"]) == 5


@pytest.mark.usefixtures("module")
def test_a_share_of_the_first_answers_is_faulty_in_each_of_three_ways_and_mended_when_told() -> None:
    kinds = set()
    faulty = 0
    for number in range(60):
        text = f"{SOURCE}# {number}\n"
        content = answer_with_tests("src/shop/prices.py", text, None, 0.5)["tests"][0]["content"]
        try:
            run(content)
        except (SyntaxError, ImportError, AssertionError) as error:
            kinds.add(type(error).__name__)
            faulty += 1
        mended = answer_with_tests("src/shop/prices.py", text, "line 1: nope", 0.5)["tests"][0]["content"]
        assert run(mended) == 5
    assert kinds == {"SyntaxError", "ModuleNotFoundError", "AssertionError"}
    assert 15 < faulty < 45


@pytest.mark.parametrize("text", ["", "import os\n", "def _private(): ...\n", "def broken(:\n", "x = 1\n"])
def test_what_has_nothing_to_hold_to_gets_a_note_and_no_tests(text: str) -> None:
    answer = answer_with_tests("a.py", text, None, 1.0)
    assert answer["tests"] == []
    assert answer["note"]


def test_what_cannot_be_imported_where_it_is_run_gets_a_note() -> None:
    answer = answer_with_tests("a.py", "def f(): ...\n", "ModuleNotFoundError: No module named 'numpy'", 0.0)
    assert (answer["tests"], "numpy" in answer["note"]) == ([], True)


@pytest.mark.parametrize(
    ("path", "name"),
    [("src/a/b.py", "a.b"), ("a/b.py", "a.b"), ("b.py", "b"), ("src/a/__init__.py", "a"), ("lib.py", "lib")],
)
def test_a_folder_of_sources_is_no_part_of_a_modules_name(path: str, name: str) -> None:
    assert module_name(path) == name


def test_a_request_that_says_what_was_wrong_is_about_the_document_before() -> None:
    document = '<document-0123456789ab path="a.py" language="python">\n1| def f(): ...\n</document-0123456789ab>'
    turns = [
        {"role": "user", "content": document},
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": WRONG},
    ]
    params = {"messages": turns, "system": "", "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    about = document_asked_about(params)
    assert about is not None
    assert about.path == "a.py"
    answer = json.loads(AnalystAnswerer(1.0).answer(params))
    compile(answer["tests"][0]["content"], "test_a.py", "exec")
    # Any other last message is what it is about itself.
    assert document_asked_about({"messages": [*turns[:2], {"role": "user", "content": "And now?"}]}) is None
