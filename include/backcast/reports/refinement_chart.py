"""The scores of a refinement, version by version, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from pygal import Bar, Config
from pygal.style import CleanStyle

if TYPE_CHECKING:
    from backcast.domain.refinement import Refined

_SHARES: Final = (0, 0.2, 0.4, 0.6, 0.8, 1)


def draw_scores(refined: Refined) -> bytes:
    """Return an SVG of the scores by iteration; it loads nothing from anywhere and holds no script."""
    chart = Bar(
        Config(js=[], no_prefix=True, disable_xml_declaration=True),
        title=f"{refined.workflow}: scores by iteration",
        range=(0, 1),
        formatter=_told,
        print_values=True,
        print_values_position="top",
        width=720,
        height=400,
        style=CleanStyle(font_family="sans-serif", background="white", value_font_size=12),
        explicit_size=True,
        legend_at_bottom=True,
        truncate_legend=-1,
        truncate_label=-1,
    )
    chart.x_labels = [
        one.version if one.iteration == 0 else f"{one.version} (iteration {one.iteration})" for one in refined.versions
    ]
    # The one line that is named is the threshold.
    chart.y_labels = [
        *({"label": _told(share), "value": share} for share in _SHARES if share != refined.threshold),
        {"label": f"threshold {_told(refined.threshold)}", "value": refined.threshold},
    ]
    scores = [one.scores for one in refined.versions]
    chart.add("accepted", [one.rate for one in scores])
    if any(one.labelled for one in scores):
        chart.add("precision", [one.labelled and one.labelled.precision for one in scores])
        chart.add("recall", [one.labelled and one.labelled.recall for one in scores])
    chart.add_xml_filter(without_scripts)
    # A str, since it has no declaration of an encoding.
    return cast("str", chart.render()).encode()


def _told(share: float) -> str:
    return f"{share:.0%}"


def without_scripts(svg: Any) -> Any:  # noqa: ANN401  an element of whichever etree pygal has
    """Remove the scripts of a picture: it is opened from a disk, and shown by code hosts."""
    for parent in svg.iter():
        for script in parent.findall("script"):
            parent.remove(script)
    return svg
