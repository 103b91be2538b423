"""Checks a proposed prompt version before anybody reads it: its template, and each of its examples."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError
from backcast.domain.workflow import WorkedExample
from backcast.prompt_templates import render
from backcast.services.acceptance import Judge

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from backcast.domain.workflow import PromptVersion

# All of these are sent with every request of a run.
_LONGEST_SYSTEM: Final = 100_000
_LONGEST_EXAMPLE: Final = 20_000
_NAMELESS: Final = "proposal"


@dataclass(frozen=True, slots=True)
class Checked:
    """A proposal after it was checked; without a prompt when it cannot be used, and the last note says why."""

    prompt: PromptVersion | None
    why: str
    notes: tuple[str, ...]


def checked(
    answer: Mapping[str, Any], parent: PromptVersion, languages: Collection[str], *, structured: bool
) -> Checked:
    """Check what was proposed before anybody reads it, and leave out what is wrong.

    Args:
        answer: valid against `SCHEMA`.
        parent: the version that it is to follow; what it has and the proposal does not replace stays.
        languages: of which examples may be.
        structured: whether the API is given the answer schema beside the prompt.

    Returns:
        Its prompt has no name yet.
    """
    why = str(answer["why"]).strip().replace("\0", " ")
    # As it is read from a file.
    template = str(answer["system_template"]).replace("\r\n", "\n").replace("\r", "\n")
    examples = {example.language: example for example in parent.examples}
    notes: list[str] = []
    for number, given in enumerate(answer["examples"], 1):
        example = _example(given, parent, languages)
        if isinstance(example, str):
            notes.append(f"Example {number}, of {str(given['language'])[:40]!r}, is left out: {example}.")
        else:
            examples[example.language] = example
    ordered = tuple(examples[language] for language in sorted(examples))
    prompt = replace(parent, version=_NAMELESS, system_template=template, examples=ordered)
    if wrong := _wrong_template(prompt, structured=structured):
        return Checked(None, why, (*notes, f"The proposal cannot be used: {wrong}."))
    if prompt.prompt_hash == parent.prompt_hash:
        return Checked(None, why, (*notes, "The proposal changes nothing."))
    return Checked(prompt, why, tuple(notes))


def _example(given: Mapping[str, Any], parent: PromptVersion, languages: Collection[str]) -> WorkedExample | str:
    """Return an example, or what is wrong with it."""
    language = str(given["language"]).strip()
    document = str(given["document"]).replace("\r\n", "\n").replace("\r", "\n")
    if language not in languages:
        return "no document of the sample is of this language"
    if "\0" in document or not document.strip():
        return "its document is empty, or holds a character that no text has"
    if len(document.encode()) > _LONGEST_EXAMPLE:
        return f"its document has more than {_LONGEST_EXAMPLE:,} bytes, which every request would be sent with"
    message = {"stop_reason": "end_turn", "content": [{"type": "text", "text": str(given["answer"])}]}
    verdict = Judge(parent.answer_schema).verdict({"type": "succeeded", "message": message}, document)
    if verdict.answer is None:
        return f"its answer is none that would be accepted, {verdict.detail}"
    # As it is read from a file.
    return WorkedExample(language, document, json.dumps(verdict.answer, separators=(",", ":")))


def _wrong_template(prompt: PromptVersion, *, structured: bool) -> str | None:
    if "\0" in prompt.system_template or not prompt.system_template.strip():
        return "its template is empty, or holds a character that no text has"
    try:
        system = render(prompt).system
    except InputError as error:
        return f"its template does not render, {error}"
    if len(system.encode()) > _LONGEST_SYSTEM:
        return f"its system prompt has more than {_LONGEST_SYSTEM:,} bytes, which every request would be sent with"
    if prompt.answer_schema not in system and not structured:
        return "its template does not print the answer schema, {{ schema }}, which nothing else would tell the model"
    return None
