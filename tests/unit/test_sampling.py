"""A sample covers formats, sizes and edge cases; its scores say what a whole run will need."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backcast.domain.pricing import Usage, batch_cost, synchronous_cost
from backcast.domain.sampling import Candidate, SampleTerms, choose
from backcast.domain.scores import Found, SampledAnswer, Scores, project, wilson
from backcast.settings import load_model

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        key=st.text(min_size=1, max_size=6),
        language=st.sampled_from(["python", "go", "yaml", "rust"]),
        size=st.integers(0, 10_000),
        odd=st.integers(0, 50),
        failed_before=st.booleans(),
    ),
    unique_by=lambda one: one.key,
    max_size=60,
)


def _many(**languages: int) -> list[Candidate]:
    return [
        Candidate(f"{language}{number}", language, 100 + 10 * number)
        for language, count in languages.items()
        for number in range(count)
    ]


def _of(chosen: list[str], candidates: list[Candidate]) -> Counter[str]:
    language = {one.key: one.language for one in candidates}
    return Counter(language[key] for key in chosen)


def test_every_format_is_in_the_sample_and_the_common_ones_more_often() -> None:
    candidates = _many(python=80, yaml=15, go=3, shell=1)
    counted = _of(choose(candidates, SampleTerms()), candidates)
    assert set(counted) == {"python", "yaml", "go", "shell"}
    assert counted["python"] > counted["yaml"] >= counted["go"]


def test_the_longest_the_shortest_and_the_oddest_are_in_the_sample() -> None:
    candidates = [*_many(python=50), Candidate("long", "python", 99_999), Candidate("short", "python", 0)]
    candidates += [Candidate("odd", "python", 200, odd=40)]
    assert {"long", "short", "odd"} <= set(choose(candidates, SampleTerms(documents=5)))


def test_what_failed_before_is_in_the_sample_but_does_not_fill_it() -> None:
    failed = [Candidate(f"failed{number}", "python", 300, failed_before=True) for number in range(20)]
    chosen = choose([*_many(python=30, go=10), *failed], SampleTerms())
    assert [key.startswith("failed") for key in chosen[:5]] == [True] * 5
    assert _of(chosen, [*_many(python=30, go=10), *failed])["go"]


def test_a_document_that_speaks_to_the_model_is_in_the_sample_only_when_there_are_not_enough_others() -> None:
    plain = [Candidate(f"plain{number}", "python", 100 + number) for number in range(7)]
    # Each of them would be in it first.
    loud = [
        Candidate(f"loud{number}", "go", 10_000 * number, 500, failed_before=True, suspicious=True)
        for number in range(9)
    ]
    assert set(choose([*loud, *plain], SampleTerms(documents=5))) <= {one.key for one in plain}
    mixed = choose([*loud, *plain], SampleTerms(documents=10))
    assert (len(mixed), {one.key for one in plain} <= set(mixed)) == (10, True)
    assert len(choose(loud, SampleTerms(documents=5))) == 5


def test_sizes_of_one_format_are_spread() -> None:
    candidates = _many(python=90)
    sizes = sorted(int(key.removeprefix("python")) for key in choose(candidates, SampleTerms()))
    assert any(size < 30 for size in sizes)
    assert any(30 <= size < 60 for size in sizes)
    assert any(size >= 60 for size in sizes)


def test_another_seed_chooses_other_documents() -> None:
    candidates = _many(python=200)
    assert set(choose(candidates, SampleTerms())) != set(choose(candidates, SampleTerms(seed=1)))


@given(CANDIDATES, st.integers(5, 10), st.integers(0, 3), st.randoms())
def test_a_sample_has_its_size_and_does_not_depend_on_the_order(
    candidates: list[Candidate], documents: int, seed: int, random: object
) -> None:
    terms = SampleTerms(documents=documents, seed=seed)
    chosen = choose(candidates, terms)
    assert len(chosen) == len(set(chosen)) == min(documents, len(candidates))
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(shuffled, terms) == chosen


@pytest.mark.parametrize(
    ("accepted", "judged", "documents", "retries"),
    [(9, 10, 20, 2), (3, 5, 20, 8), (6, 10, 20, 8), (9, 10, 1000, 100), (6, 10, 1000, 400), (3, 5, 1000, 400)],
)
def test_the_plain_arithmetic_of_retries_and_money(accepted: int, judged: int, documents: int, retries: int) -> None:
    projected = project(accepted, judged, documents, Decimal(documents) * Decimal("0.0067"))
    assert projected.retries == retries
    assert projected.usd == (documents + retries) * Decimal("0.0067")
    assert projected.fewest_retries <= retries <= projected.most_retries
    assert projected.least_usd <= projected.usd <= projected.most_usd


def test_the_bounds_of_a_small_sample_are_wide() -> None:
    # Wilson's interval for 1 of 10, by R's binom::binom.wilson(1, 10).
    low, high = wilson(1, 10)
    assert (round(low, 4), round(high, 4)) == (0.0179, 0.4042)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    assert 0.2 < wilson(0, 10)[1] < 0.3


def test_nothing_answered_passes_nothing() -> None:
    assert not Scores(()).passes(0.1)


def test_precision_and_recall_count_as_much_as_accepted_answers() -> None:
    answers = tuple(SampledAnswer(f"{number}.py", "python", accepted=True) for number in range(10))
    assert Scores(answers).passes(0.9)
    assert Scores(answers, Found(10, expected=10, found=9, right=9, wrong=1)).passes(0.9)
    assert not Scores(answers, Found(10, expected=10, found=8, right=8, wrong=0)).passes(0.9)
    assert not Scores(answers, Found(10, expected=10, found=10, right=10, wrong=2)).passes(0.9)


def test_what_is_shown_of_scores_names_each_failure() -> None:
    failed = SampledAnswer("a.go", "go", accepted=False, cause="malformed", detail="no JSON", shown="{", seconds=2.0)
    good = SampledAnswer("b.py", "python", accepted=True, seconds=4.0, cost_usd=Decimal("0.01"))
    view = Scores((failed, good)).view()
    assert view["failures"] == [
        {"path": "a.go", "language": "go", "cause": "malformed", "detail": "no JSON", "shown": "{"}
    ]
    assert (view["rate"], view["causes"], view["seconds"], view["cost_usd"]) == (0.5, {"malformed": 1}, 3.0, "0.01")


def test_the_page_has_the_plain_arithmetic_with_the_money() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text()
    model, usage = load_model("claude-sonnet-5-5"), Usage(input_tokens=2700, output_tokens=800)
    once = batch_cost(model, usage)
    for documents in (20, 1000):
        for rate in (9, 6):
            projected = project(rate, 10, documents, documents * once)
            cells = (f"{documents:,}", f"{rate}0 %", f"{projected.retries}", f"{documents + projected.retries:,}")
            assert f"| {' | '.join(cells)} | ${projected.usd:.2f} |" in page
    assert f"${synchronous_cost(model, usage):.4f} synchronously and ${once:.4f} in a batch" in page
    two, three = (5 * iterations * synchronous_cost(model, usage) for iterations in (2, 3))
    assert f"The sample costs ${two:.2f} for 2 iterations and ${three:.2f} for 3." in page
