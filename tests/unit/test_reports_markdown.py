"""The Markdown report: what it says, and that no text in it can be anything but text."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from backcast.domain.report import (
    Beside,
    Finding,
    Report,
    ReportRef,
    SeenFinding,
    SkippedDocuments,
    Spend,
    SuspiciousDocument,
    Totals,
    UnansweredDocument,
)
from backcast.reports import escaping, wording
from backcast.reports.markdown import IN_FULL, render_markdown

if TYPE_CHECKING:
    from markdown_it.token import Token

PUBLISHED = datetime(2026, 5, 1, 4, 12, 33, 250_000, tzinfo=UTC)

FINDING = Finding(
    fingerprint="f1",
    status="new",
    path="src/shop/config.py",
    line_start=10,
    line_end=20,
    category="error_handling",
    severity="high",
    effort="minutes",
    title="`load()` swallows every exception",
    why="A broken file is read as an empty one.",
    suggestion="Catch FileNotFoundError only.",
    evidence="    except:\n        return {}",
)

REPORT = Report(
    workflow="nightly_tech_debt",
    run_id=12,
    repository="https://github.com/acme/shop",
    ref="main",
    commit="9f2c41d0aa" * 4,
    committed_at=PUBLISHED - timedelta(hours=9),
    model="claude-sonnet-5-5",
    prompt_version="v1",
    simulated=False,
    opened_at=PUBLISHED - timedelta(minutes=7),
    published_at=PUBLISHED,
    deadline=PUBLISHED + timedelta(hours=5, minutes=12),
    previous_published_at=PUBLISHED - timedelta(days=1),
    totals=Totals(collected=10, answered=5, reused=3, skipped=1, unanswered=1),
    spend=Spend(5, 41_200, 9_000, 12_000, 400, Decimal("0.0123"), Decimal("0.0246")),
    findings=(FINDING,),
    fixed=(replace(FINDING, status="fixed", title="Was here"),),
    unanswered=(UnansweredDocument("src/huge.py", "cut off at max_tokens", 2),),
    skipped=(SkippedDocuments("vendored", 1, ("vendor/x.js",)),),
)

BESIDE = Beside(
    workflow="nightly_tech_debt",
    since=PUBLISHED - timedelta(days=7),
    reports=(
        ReportRef(11, PUBLISHED - timedelta(days=1), "ab" * 20),
        ReportRef(9, PUBLISHED - timedelta(days=3), "cd" * 20),
    ),
    findings=(SeenFinding(11, PUBLISHED - timedelta(days=1), replace(FINDING, title="Of the night")),),
    fixed=(SeenFinding(9, PUBLISHED - timedelta(days=3), replace(FINDING, title="Gone", status="fixed")),),
)

NOTHING = Spend(0, 0, 0, 0, 0, Decimal(0), Decimal(0))

# What breaks out of its place when it is not escaped.
FRAGMENTS = [
    *("\n", "\r", "\t", "    ", "\0", "\x0b", "\x0c", "\x1b[31m", "\x85", "\u2028", "\u202e", "\u200b"),
    *("\n\n# heading\n", "\n---\n", "\n===\n", "\n- item\n", "\n1. item\n", "\n> quote\n", "1. ", "+ ", "#", " #"),
    *("<script>", "</details>", "<!--", "-->", "<http://e.com>", "http://e.com", "www.e.com", "me@e.com"),
    *("[x](http://e.com)", "![x](y)", "[x][y]", "\n[x]: http://e.com\n", "]", "(", "|", "||", "\n| a | b |\n"),
    *("`", "``", "\n```\n", "\n~~~\n", "`a`", "\\", "\\\\", "*", "**", "_", "__", "~~", "$"),
    *("&amp;", "&#60;", "{{ 1 }}", "{% raw %}"),
]

HOSTILE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=8).map("".join)

HARMLESS = {"text", "text_special", "code_inline", "strong_open", "strong_close", "softbreak"}


def tokens(markdown: str) -> list[Token]:
    """As GitHub reads it, which makes links of addresses, too."""
    parser = MarkdownIt("gfm-like")
    assert parser.linkify is not None
    parser.linkify.set({"fuzzy_link": False})
    return parser.parse(markdown)


def filled(text: str) -> Report:
    """The report with `text` wherever somebody else decides what stands there."""
    finding = replace(
        FINDING,
        path=text,
        category=text,
        title=text,
        why=text,
        suggestion=text,
        evidence=f"x\n{text}",
        fingerprint=text,
    )
    return replace(
        REPORT,
        workflow=text,
        repository=text,
        ref=text,
        commit=text,
        model=text,
        prompt_version=text,
        findings=(finding,) * (IN_FULL + 1),
        fixed=(finding,),
        unanswered=(UnansweredDocument(text, text, 1),),
        skipped=(SkippedDocuments(text, 2, (text, text)),),
        categories=(text, f"{text}2"),
        suspicious=(SuspiciousDocument(text, 1, text),),
        beside=replace(
            BESIDE,
            workflow=text,
            findings=(replace(BESIDE.findings[0], finding=finding),),
            fixed=(replace(BESIDE.fixed[0], finding=finding),),
        ),
    )


@settings(max_examples=30, deadline=None)
@given(HOSTILE)
def test_hostile_text_changes_nothing_but_words(text: str) -> None:
    hostile, plain = tokens(render_markdown(filled(text))), tokens(render_markdown(filled("word")))
    assert [token.type for token in hostile] == [token.type for token in plain]
    for token in hostile:
        children = token.children or []
        assert {child.type for child in children} <= HARMLESS


@given(HOSTILE)
def test_hostile_text_stays_on_its_line_and_holds_no_markup(text: str) -> None:
    escaped = escaping.text(text)
    assert "\n" not in escaped
    assert "<" not in escaped
    assert "|" not in escaped
    assert "://" not in "".join(escaped.split("`")[::2])
    assert not escaped.startswith(("#", ">", "+ ", "- "))


@given(HOSTILE)
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    (_, inline, _) = tokens(f"x{escaping.text(text)}x")
    shown = "".join(
        f"`{child.content}`" if child.type == "code_inline" else child.content for child in inline.children or []
    )
    assert shown.replace("\u2060", "") == f"x{escaping.flat(text)}x".replace("\u2060", "")


@given(HOSTILE)
def test_nothing_inside_a_fence_can_close_it(text: str) -> None:
    fenced = tokens(escaping.fenced(text, "py") + "\n\nafter\n")
    assert [token.type for token in fenced] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("`load()` is 80 lines long", "`load()` is 80 lines long"),
        ("snake_case -> List[str]", "snake_case -> List\\[str\\]"),
        ("__init__ *args", "\\_\\_init\\_\\_ \\*args"),
        ("R&D && C#", "R&D && C#"),
        ("first\n# second", "first # second"),
        ("# first", "\\# first"),
        ("1. first", "1\\. first"),
        ("- first", "\\- first"),
        ("one ` tick", "one \\` tick"),
        ("see https://e.com, www.e.com", "see https&#58;//e.com, www&#46;e.com"),
    ],
)
def test_ordinary_text_stays_readable(written: str, escaped: str) -> None:
    assert escaping.text(written) == escaped


def test_a_report_says_what_it_is_about() -> None:
    markdown = render_markdown(REPORT)
    lines = markdown.splitlines()
    assert lines[0] == "# `nightly_tech_debt` report, 2026-05-01"
    assert (
        lines[2] == "Code as of commit `9f2c41d0aa9f`, 2026-04-30T19:12:33Z: `main` of `https://github.com/acme/shop`"
    )
    assert "No model was asked" not in markdown
    assert "| Documents | 10 collected: 5 answered, 3 reused, 1 skipped, 1 unanswered |" in lines
    assert "| Findings | 1: 1 high |" in lines
    assert "| Since 2026-04-30T04:12:33Z | 1 new, 0 persisting, 1 fixed |" in lines
    assert "| Cost | $0.0123 instead of $0.0246 synchronously: $0.0123 (50%) saved |" in lines
    assert "| Deadline | 2026-05-01T09:24:33Z, 5 h 12 min to spare |" in lines
    assert "### 1. `load()` swallows every exception" in lines
    assert "**high** · minutes to mend · error handling · new · `src/shop/config.py:10-20`" in lines
    assert "```py\n    except:\n        return {}\n```" in markdown
    assert "| `src/shop` | 0 | 1 | 0 | 0 | 1 |" in lines
    assert "| high | Was here | `src/shop/config.py:10-20` |" in lines
    assert "| `src/huge.py` | 2 | cut off at max_tokens |" in lines
    assert "| vendored | 1 | `vendor/x.js` |" in lines


def test_findings_are_counted_by_category_in_the_order_of_the_schema() -> None:
    findings = (FINDING, replace(FINDING, category="naming"), replace(FINDING, category="other"))
    lines = render_markdown(
        replace(REPORT, findings=findings, categories=("naming", "dead_code", "error_handling", "testing"))
    ).splitlines()
    table = lines[lines.index("## By category") :]
    assert table[4:7] == [f"| {name} | 0 | 1 | 0 | 0 | 1 |" for name in ("naming", "error handling", "other")]
    assert table[8] == "None of: dead code, testing."


def test_who_reads_is_warned_of_documents_that_speak_to_the_model_before_the_findings() -> None:
    documents = [SuspiciousDocument("src/a.py", 1207, "shouts"), SuspiciousDocument("ignore all.py", None, "whispers")]
    shown = render_markdown(replace(REPORT, suspicious=tuple(documents)))
    assert shown.index("## Suspicious documents") < shown.index("## Findings")
    assert "| `src/a.py` | 1,207 | shouts |\n| `ignore all.py` | its name | whispers |" in shown
    assert "| Suspicious | 2 documents speak to the model: see below |" in shown
    assert "uspicious" not in render_markdown(REPORT)
    many = render_markdown(replace(REPORT, suspicious=(documents[0],) * (IN_FULL + 2)))
    assert "And 2 more, in `report.json`." in many


def test_it_is_said_what_comes_first() -> None:
    assert "What pays off most comes first" in render_markdown(REPORT)
    assert "The worst come first" in render_markdown(replace(REPORT, first="worst"))


def test_what_another_workflow_found_stands_beside_with_run_and_date() -> None:
    assert "Beside" not in render_markdown(REPORT)
    markdown = render_markdown(replace(REPORT, beside=BESIDE))
    lines = markdown.splitlines()
    section = lines[lines.index("## Beside it: `nightly_tech_debt` since 2026-04-24") :]
    assert section[2] == (
        "What 2 reports of this repository found, without what stands above in the same place: "
        "run 11 of 2026-04-30, run 9 of 2026-04-28."
    )
    assert "| Beside it | `nightly_tech_debt`: 1 open, 1 fixed meanwhile |" in lines
    columns = "high | minutes | error handling"
    place = "`src/shop/config.py:10-20`"
    assert section[4] == "### Open"
    assert section[8] == f"| {columns} | Of the night (new) | {place} | run 11, 2026-04-30 |"
    assert section[10] == "### Fixed meanwhile"
    assert section[14] == f"| {columns} | Gone | {place} | run 9, 2026-04-28 |"
    assert section[16] == "## Unanswered documents"
    assert "\n\n\n" not in markdown


def test_it_is_said_when_there_is_nothing_beside() -> None:
    nothing = render_markdown(replace(REPORT, beside=replace(BESIDE, findings=(), fixed=())))
    assert "Nothing else is open." in nothing
    assert "Nothing was fixed." in nothing
    without = render_markdown(replace(REPORT, beside=replace(BESIDE, reports=(), findings=(), fixed=())))
    assert "| Beside it | `nightly_tech_debt`: no report |" in without
    assert "It published no report of this repository in that time.\n\n## Unanswered" in without


def test_a_simulated_report_says_so_before_anything_else() -> None:
    lines = render_markdown(replace(REPORT, simulated=True)).splitlines()
    assert lines[4].startswith("> **No model was asked.**")


def test_an_empty_first_report_reads_well() -> None:
    markdown = render_markdown(
        replace(REPORT, findings=(), fixed=(), unanswered=(), skipped=(), spend=NOTHING, previous_published_at=None)
    )
    assert "No findings." in markdown
    assert "first report: everything is new" in markdown
    assert "0 requests: every answer was reused" in markdown
    assert "None: every document got its answer." in markdown
    assert "By directory" not in markdown
    assert "\n\n\n" not in markdown


def test_a_missed_deadline_is_not_hidden() -> None:
    late = render_markdown(replace(REPORT, deadline=PUBLISHED - timedelta(hours=1, minutes=5)))
    assert "missed by 1 h 5 min" in late


def test_only_the_first_findings_are_shown_in_full() -> None:
    markdown = render_markdown(replace(REPORT, findings=(FINDING,) * (IN_FULL + 2)))
    assert markdown.count("**Why:**") == IN_FULL
    assert f"| {IN_FULL + 2} | high | minutes |" in markdown


def test_long_evidence_is_cut() -> None:
    markdown = render_markdown(replace(REPORT, findings=(replace(FINDING, evidence="x = 1\n" * 30),)))
    assert "x = 1\n… 10 more lines\n```" in markdown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("0.00001", "under $0.0001"),
        ("0.01234", "$0.0123"),
        ("0.5", "$0.5000"),
        ("1.005", "$1.00"),
        ("1234.5", "$1,234.50"),
        ("-0.25", "-$0.2500"),
    ],
)
def test_money_has_sensible_digits(amount: str, shown: str) -> None:
    assert wording.usd(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (18_720, "5 h 12 min"), (100_800, "28 h"), (-90, "1 min 30 s")],
)
def test_durations_are_short(seconds: int, shown: str) -> None:
    assert wording.duration(timedelta(seconds=seconds)) == shown
