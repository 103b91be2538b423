"""The pages about audits, guarantees, prompts, deadlines, tests and workflows name only tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "page", ["audit.md", "guarantees.md", "prompts.md", "sla.md", "test-generation.md", "workflows.md"]
)
def test_every_test_named_on_the_page_exists(page: str) -> None:
    sources = [path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")]
    existing = {name for source in sources for name in re.findall(r"^ *def (test_\w+)", source, re.MULTILINE)}
    text = (TESTS.parent / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 5
    assert named <= existing
