"""Makes the parameters of a request from a prompt version and a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from jinja2 import Environment, StrictUndefined

from backcast.domain.lines import number_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_FENCE_DIGITS = 12


def request_builder(
    *, model: str, system_template: str, document_template: str, answer_schema: str
) -> Callable[[str, str, str, str, int], dict[str, Any]]:
    """Return a function of path, language, content hash, text and max_tokens that gives a request's `params`.

    What all requests share comes first, so that the API's prompt cache can hold it. The fence around a document
    carries digits of its own hash: a document cannot contain them, so it cannot close its fence.
    """
    # Autoescape is for HTML; here the text must arrive as it stands.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)  # noqa: S701
    system = environment.from_string(system_template).render(schema=answer_schema)
    document = environment.from_string(document_template)

    def build(path: str, language: str, content_hash: str, text: str, max_tokens: int) -> dict[str, Any]:
        content = document.render(
            fence=content_hash[:_FENCE_DIGITS],
            path=quoteattr(path),
            language=quoteattr(language),
            numbered_lines=number_lines(text),
        )
        return {
            "model": model,
            "max_tokens": max_tokens,
            "system": [{"type": "text", "text": system}],
            "messages": [{"role": "user", "content": content}],
        }

    return build
