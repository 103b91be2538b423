"""What was found in a labelled document is right, wrong, missed, or of no account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.golden import Expectation, LabelledDocument, compare, total

if TYPE_CHECKING:
    from backcast.domain.scores import Found

CATEGORIES = ("complexity", "design", "error_handling", "security")
LINES = st.tuples(st.integers(1, 30), st.integers(0, 10)).map(lambda drawn: (drawn[0], sum(drawn)))
EXPECTATIONS = st.lists(
    st.builds(
        Expectation,
        lines=st.none() | LINES,
        categories=st.lists(st.sampled_from(CATEGORIES), max_size=2).map(tuple),
        about=st.just("a passage"),
    ),
    max_size=4,
)
DOCUMENTS = st.builds(
    lambda must, may, must_not: document(tuple(must), tuple(may), tuple(must_not)),
    EXPECTATIONS,
    EXPECTATIONS,
    EXPECTATIONS,
)
FINDINGS = st.lists(
    st.builds(lambda lines, category: finding(*lines, category), LINES, st.sampled_from(CATEGORIES)), max_size=8
)


def document(
    must: tuple[Expectation, ...] = (),
    may: tuple[Expectation, ...] = (),
    must_not: tuple[Expectation, ...] = (),
) -> LabelledDocument:
    return LabelledDocument("retries", "shop/orders.py", "python", "\n" * 40, must, may, must_not)


def finding(first: int, last: int, category: str, title: str = "A finding") -> dict[str, Any]:
    return {"line_start": first, "line_end": last, "category": category, "title": title}


def counts(found: Found) -> dict[str, int]:
    names = ("expected", "found", "right", "wrong", "forbidden")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def test_a_finding_is_expected_when_it_shares_a_line_and_is_of_a_category_that_is_meant() -> None:
    one = document((Expectation((12, 19), ("error_handling", "design"), "it hides failures"),))
    for lines, category in (((19, 25), "design"), ((1, 12), "error_handling"), ((1, 40), "design")):
        assert counts(compare(one, [finding(*lines, category)])) == {"expected": 1, "found": 1, "right": 1}
    for lines, category in (((20, 25), "design"), ((1, 11), "design"), ((12, 19), "security")):
        assert counts(compare(one, [finding(*lines, category)])) == {"expected": 1, "wrong": 1}


def test_what_must_be_found_comes_before_what_must_not_and_that_before_what_may() -> None:
    same = Expectation((3, 5))
    assert counts(compare(document((same,), (same,), (same,)), [finding(4, 4, "design")]))["right"] == 1
    assert counts(compare(document((), (same,), (same,)), [finding(4, 4, "design")])) == {"wrong": 1, "forbidden": 1}
    assert counts(compare(document((), (same,)), [finding(4, 4, "design")])) == {}


def test_saying_a_thing_twice_is_right_once_and_one_finding_may_find_two_passages() -> None:
    two = document((Expectation((3, 5)), Expectation((10, 12))))
    twice = [finding(3, 3, "design"), finding(5, 5, "security")]
    assert counts(compare(two, twice)) == {"expected": 2, "found": 1, "right": 1}
    assert counts(compare(two, [finding(5, 10, "design")])) == {"expected": 2, "found": 2, "right": 1}


def test_without_an_acceptable_answer_everything_is_missed_and_nothing_is_wrong() -> None:
    must = (Expectation((3, 5), ("design",), "one"), Expectation((9, 9), (), "two"))
    found = compare(document(must), None)
    assert counts(found) == {"expected": 2}
    assert (found.precision, found.recall) == (1.0, 0.0)
    assert found.missed == (
        "retries (shop/orders.py), lines 3-5: design: one",
        "retries (shop/orders.py), line 9: two",
    )


def test_what_is_unwanted_names_the_finding_and_says_what_is_there() -> None:
    trap = Expectation((1, 10), ("security",), "a constant, no secret")
    found = compare(
        document(must_not=(trap,)), [finding(20, 20, "design", "A guess"), finding(4, 6, "security", "A key")]
    )
    assert found.unwanted == (
        "retries (shop/orders.py), lines 4-6: security: A key; must not be found: a constant, no secret",
        "retries (shop/orders.py), line 20: design: A guess; neither expected nor allowed",
    )


@given(DOCUMENTS, FINDINGS, st.randoms())
def test_counts_add_up_whatever_the_order_of_findings(
    one: LabelledDocument, findings: list[dict[str, Any]], random: Any
) -> None:
    found = compare(one, findings)
    assert found.expected == len(one.must) == found.found + len(found.missed)
    assert found.wrong == len(found.unwanted)
    assert found.forbidden <= found.wrong
    assert found.right + found.wrong <= len(findings)
    assert found.right <= found.found
    assert (found.right == 0) == (found.found == 0)
    shuffled = list(findings)
    random.shuffle(shuffled)
    assert compare(one, shuffled) == found
    known = (*one.must, *one.may, *one.must_not)
    strange = [each for each in findings if not any(expectation.matches(each) for expectation in known)]
    assert found.wrong - found.forbidden == len(strange)


@given(st.lists(st.tuples(DOCUMENTS, FINDINGS), max_size=5))
def test_the_total_is_the_sum_of_what_each_document_shows(many: list[tuple[LabelledDocument, Any]]) -> None:
    every = [compare(one, findings) for one, findings in many]
    summed = total(every)
    assert summed.documents == len(many)
    for name in ("expected", "found", "right", "wrong", "forbidden"):
        assert getattr(summed, name) == sum(getattr(one, name) for one in every)
    assert len(summed.missed) == summed.expected - summed.found
    assert len(summed.unwanted) == summed.wrong
