"""Makes the parameters of a request from a prompt version and a document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.sax.saxutils import quoteattr

from jinja2 import Environment, StrictUndefined

from backcast.anthropic_api.structured import output_config
from backcast.domain.failures import Variant
from backcast.domain.lines import number_lines
from backcast.domain.parts import Part
from backcast.services.parts import shown_part

if TYPE_CHECKING:
    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Row

_FENCE_DIGITS = 12


Build: TypeAlias = Callable[..., dict[str, Any]]


def builder_of(row: Row) -> Build:
    """Return the builder for the prompt version of a run, as the row of a run or of a batch tells it."""
    return request_builder(
        model=row["model"],
        system_template=row["system_template"],
        document_template=row["document_template"],
        answer_schema=row["answer_schema"],
        simplified_template=row["simplified_template"],
        examples=row["examples"],
        structured=row["structured"],
    )


def builder_for(settings: RunSettings) -> Build:
    """Return the builder for a run that has not been opened, as `builder_of` would once it is.

    Whether the model can keep to the answer schema is not known before the API was asked: it is taken to.
    """
    prompt = settings.prompt
    return request_builder(
        model=settings.model.name,
        system_template=prompt.system_template,
        document_template=prompt.document_template,
        answer_schema=prompt.answer_schema,
        simplified_template=prompt.simplified_template,
        examples={example.language: asdict(example) for example in prompt.examples},
        structured=settings.structured,
    )


def request_builder(  # noqa: PLR0913  the parts of a prompt version
    *,
    model: str,
    system_template: str,
    document_template: str,
    answer_schema: str,
    simplified_template: str = "",
    examples: Mapping[str, Mapping[str, str]] | None = None,
    structured: bool = False,
) -> Build:
    """Return a function of path, language, content hash, text, max_tokens, variant and part that gives `params`.

    What all requests share comes first, so that the API's prompt cache can hold it. The fence around a document
    carries digits of its own hash: a document cannot contain them, so it cannot close its fence. A worked example is
    an earlier turn: a document and the answer to it; of the document's language, or else of the first one there is.
    """
    # Autoescape is for HTML; here the text must arrive as it stands.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)  # noqa: S701
    systems = {
        simplified: environment.from_string(template).render(schema=answer_schema)
        for simplified, template in ((False, system_template), (True, simplified_template))
    }
    document = environment.from_string(document_template)
    worked = examples or {}
    asked_for = {"output_config": output_config(answer_schema)} if structured else {}

    def shown(path: str, language: str, content_hash: str, numbered_lines: str) -> str:
        return document.render(
            fence=content_hash[:_FENCE_DIGITS],
            path=quoteattr(path),
            language=quoteattr(language),
            numbered_lines=numbered_lines,
        )

    def example_turns(language: str) -> list[dict[str, str]]:
        name = language if language in worked else min(worked)
        example = worked[name]
        content_hash = hashlib.sha256(example["document"].encode()).hexdigest()
        asked = shown(f"example/{name}", name, content_hash, number_lines(example["document"]))
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": example["answer"]}]

    def build(  # noqa: PLR0913, PLR0917  what a request is about
        path: str,
        language: str,
        content_hash: str,
        text: str,
        max_tokens: int,
        variant: str = Variant.STANDARD,
        part: Part | None = None,
    ) -> dict[str, Any]:
        asked = shown(path, language, content_hash, shown_part(text, part) if part else number_lines(text))
        own = f"{asked}\n\n{part.told()}" if part else asked
        earlier = example_turns(language) if variant == Variant.WORKED_EXAMPLE else []
        return {
            "model": model,
            "max_tokens": max_tokens,
            "system": [{"type": "text", "text": systems[variant == Variant.SIMPLIFIED]}],
            **asked_for,
            "messages": [*earlier, {"role": "user", "content": own}],
        }

    return build


def params_of(build: Build, row: Row) -> dict[str, Any]:
    """Return the `params` of a request as a row of `requests_to_send` or `request_to_call` tells it.

    What the model wrote before it paused is sent back as its own turn, which it then goes on with.
    """
    part = Part.stored(row["part"]) if row["part"] else None
    about = (row["path"], row["language"], row["content_hash"], row["body"])
    params = build(*about, row["max_tokens"], row["variant"], part)
    if paused := [block for content in row["paused"] or () for block in content]:
        params["messages"].append({"role": "assistant", "content": paused})
    return params


def variants_of(row: Row) -> frozenset[Variant]:
    """Return the forms that the prompt version of a run has, as the row of a run or of a batch tells it."""
    extra = {Variant.SIMPLIFIED: row["simplified_template"], Variant.WORKED_EXAMPLE: row["examples"]}
    return frozenset({Variant.STANDARD} | {variant for variant, there in extra.items() if there})
