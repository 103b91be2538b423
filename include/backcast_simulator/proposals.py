"""The offline proposer: the next version of a prompt, by the one rule that it knows.

Where documents of a language were answered malformed and the prompt shows no example of it, it adds one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from jinja2 import Environment, TemplateSyntaxError, meta

from backcast_simulator.analyst import analyse
from backcast_simulator.answer_shape import shape_in
from backcast_simulator.structured import fit, schema_problem

if TYPE_CHECKING:
    from backcast_simulator.prompts import Document
    from backcast_simulator.refinements import Refinement
    from backcast_simulator.structured import Schema

MOST_LINES = 40
_LEAST_LINES = 20
_MOST_CHARACTERS = 6_000
_MENDED = "malformed"
_SHOW_EXAMPLES = """\
{% for example in examples %}
<example>
{{ example.shown }}
{{ example.answer }}
</example>
{% endfor %}
"""
_NO_MODEL = "No model was asked."


def propose(refinement: Refinement) -> str:
    """The next version as JSON text: `{"why": ..., "system_template": ..., "examples": [...]}`.

    An example has the `language`, the `document` (its first lines, without numbers) and the `answer`, as JSON text.
    """
    examples = list(_new_examples(refinement).values())
    malformed = {failure.language for failure in refinement.failures if failure.cause == _MENDED}
    owned = sorted(malformed & refinement.shown)
    shows = (examples or owned) and _can_show_more(refinement.template)
    template = f"{refinement.template.rstrip()}\n\n{_SHOW_EXAMPLES}" if shows else refinement.template
    added = [example["language"] for example in examples]
    why = _why(added, owned if shows else [])
    return orjson.dumps({"why": why, "system_template": template, "examples": examples}).decode()


def _new_examples(refinement: Refinement) -> dict[str, dict[str, str]]:
    examples: dict[str, dict[str, str]] = {}
    for failure in refinement.failures:
        language = failure.language
        if failure.cause != _MENDED or not language or language in refinement.shown or language in examples:
            continue
        beginning = beginning_of(failure.document.lines)
        if beginning:
            answer = _answer(failure.document, beginning, refinement.schema)
            examples[language] = {"language": language, "document": f"{beginning}\n", "answer": answer}
    return examples


def beginning_of(lines: list[str]) -> str:
    """The first 40 lines at most, up to where the last block ends that begins at the margin and fits in whole.

    Without such an end from line 20 on it is all 40. Empty when the first line alone is too long for an example.
    """
    kept = lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        ends = [end for end in range(_LEAST_LINES, MOST_LINES + 1) if _ends_block(lines, end)]
        kept = lines[: ends[-1]] if ends else kept
    while sum(len(line) + 1 for line in kept) > _MOST_CHARACTERS:
        kept = kept[:-1]
    return "\n".join(kept).rstrip()


def _ends_block(lines: list[str], end: int) -> bool:
    following = lines[end]
    return not lines[end - 1].strip() and bool(following.strip()) and not following[0].isspace()


def _answer(document: Document, beginning: str, schema: Schema) -> str:
    findings = {"findings": analyse(document.path, document.language, beginning, shape_in(schema))}
    if schema_problem(schema) is not None:
        return orjson.dumps(findings).decode()
    return orjson.dumps(fit(findings, schema, _NO_MODEL)).decode()


def _can_show_more(template: str) -> bool:
    environment = Environment()  # noqa: S701  the template is parsed, never rendered
    try:
        return "examples" not in meta.find_undeclared_variables(environment.parse(template))
    except TemplateSyntaxError:
        return False


def _why(added: list[str], owned: list[str]) -> str:
    done = []
    if added:
        done.append(f"an example of {_listed(added)} was added, since answers to such documents came back malformed")
    if owned:
        done.append(f"the system prompt now shows the examples there are of {_listed(owned)}")
    if not done:
        return f"Nothing was changed: there is no malformed answer that an example could be added for. {_NO_MODEL}"
    text = "; ".join(done)
    return f"{text[0].upper()}{text[1:]}. {_NO_MODEL}"


def _listed(names: list[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
