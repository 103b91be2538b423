"""A refinement as Markdown and JSON: its versions side by side, what was proposed, and what each means for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from backcast.reports import wording
from backcast.reports.markdown import environment

if TYPE_CHECKING:
    from backcast.domain.refinement import Refined, ScoredVersion

PICTURE = "scores.svg"


def render_refinement(refined: Refined) -> str:
    """Return the report of a refinement as Markdown; the picture lies beside it."""
    return (
        environment()
        .get_template("refinement.md.j2")
        .render(r=refined, table=render_comparison(refined), picture=PICTURE, consequence=consequence(refined))
    )


def render_comparison(refined: Refined) -> str:
    """Return the table of the versions side by side as Markdown."""
    return environment().get_template("comparison.md.j2").render(r=refined)


def refinement_json(refined: Refined) -> bytes:
    """Return a refinement as JSON."""
    return orjson.dumps(refined.view(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def consequence(refined: Refined) -> str:
    """Say what the best version would mean: "Of 1,000 documents 400 would go again with v1, for $5.20 in all; …"."""
    best = refined.best
    active = next((one for one in refined.versions if one.prompt_hash == refined.active), refined.versions[0])
    said = f"Of {wording.number(best.projection.requests)} documents {_again(active, 'would go again with')}"
    return f"{said}." if active is best else f"{said}; {_again(best, 'with')}."


def _again(one: ScoredVersion, how: str) -> str:
    projected = one.projection
    return f"{wording.number(projected.retries)} {how} {one.version}, for {wording.usd(projected.usd)} in all"


def approval_text(refined: Refined, report: str) -> tuple[str, str]:
    """Return what a person is asked before the best version is promoted: a line, and Markdown with the table."""
    best = refined.best
    subject = f"Promote {best.version} of the {refined.workflow} prompt?"
    return subject, environment().get_template("approval.md.j2").render(
        r=refined, table=render_comparison(refined), consequence=consequence(refined), report=report
    )
