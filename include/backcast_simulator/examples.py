"""Documents that need an example: how the quality of an answer depends on the prompt."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from backcast_simulator.prompts import earlier_texts, find_document, find_documents, last_user_text, text_of
from backcast_simulator.refinements import refinement_in
from backcast_simulator.rules import Rule
from backcast_simulator.settings import ALL_LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

WITHOUT_EXAMPLE = Rule("", "malformed")
_REMEMBERED_PROMPTS = 64


def lacks_example(params: dict[str, Any], languages: AbstractSet[str]) -> bool:
    """Whether well-formed parameters ask about a document of one of these languages, with none of it shown before.

    It is the document in the last user message. Shown before is what stands in the system prompt or in an earlier
    message. With `all`, every language is one of these. A request for the next version of a prompt is about none.
    """
    if not languages:
        return False
    document = find_document(last_user_text(params))
    if document is None:
        return False
    language = document.language.lower()
    if not languages & {language, ALL_LANGUAGES} or refinement_in(params) is not None:
        return False
    return language not in _shown(text_of(params.get("system"))) and not any(
        language in _languages(text) for text in earlier_texts(params)
    )


@lru_cache(maxsize=_REMEMBERED_PROMPTS)
def _shown(system: str) -> frozenset[str]:
    # All requests of a batch have the same one.
    return _languages(system)


def _languages(text: str) -> frozenset[str]:
    return frozenset(document.language.lower() for document in find_documents(text))
