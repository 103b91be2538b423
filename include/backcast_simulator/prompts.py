"""Reading request parameters: the text in them, the document in the text, and fingerprints of both."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import unescape

import orjson

from backcast_simulator.json_bodies import written
from backcast_simulator.pdf import pdf_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARACTERS_PER_TOKEN = 3.5
_NOT_ACCEPTED = "That answer cannot be used: "

_OPENING = re.compile(
    r"""^<document-(?P<fence>[0-9a-f]{12})(?P<attributes>(?:\s+[\w-]+=(?:"[^"]*"|'[^']*'))*)\s*>[ \t]*\r?\n""",
    re.MULTILINE,
)
_ATTRIBUTE = re.compile(r"""([\w-]+)=("[^"]*"|'[^']*')""")
_LINE_NUMBER = re.compile(r"^ *\d+\| ?")


@dataclass(frozen=True, slots=True)
class Document:
    """The document found in a prompt: its text without line numbers, its path and its language.

    `numbers` are those that its lines carry in the prompt, where they do not simply count from 1: it is a part then.
    """

    path: str
    language: str
    text: str
    numbers: tuple[int, ...] = ()

    @property
    def lines(self) -> list[str]:
        r"""Its lines, split on "\n" alone, so that line N of the prompt is `lines[N - 1]`."""
        return self.text.split("\n")


def text_of(content: object) -> str:
    """The text of a message's or system prompt's content: a string, or the text blocks of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        blocks = (block.get("text") for block in content if isinstance(block, dict))
        return "\n".join(text for text in blocks if isinstance(text, str))
    return ""


def last_user_text(params: dict[str, Any]) -> str:
    """The text of the last user message; empty when there is none."""
    index = _index_of_last_user_message(params)
    return "" if index is None else text_of(params["messages"][index].get("content"))


def earlier_texts(params: dict[str, Any]) -> list[str]:
    """The texts of the messages before the last user message."""
    index = _index_of_last_user_message(params)
    earlier = [] if index is None else params["messages"][:index]
    return [text_of(message.get("content")) for message in earlier if isinstance(message, dict)]


def told_what_was_wrong(params: dict[str, Any]) -> str | None:
    """What the last user message says was wrong with the answer before it; None when it is about something else."""
    text = last_user_text(params)
    return text.removeprefix(_NOT_ACCEPTED) if text.startswith(_NOT_ACCEPTED) else None


def document_asked_about(params: dict[str, Any]) -> Document | None:
    """The document in the last user message, or in one before it, when that only says what was wrong with an answer."""
    texts = [last_user_text(params)]
    if told_what_was_wrong(params) is not None:
        texts += reversed(earlier_texts(params))
    return next((document for text in texts if (document := find_document(text)) is not None), None)


def _index_of_last_user_message(params: dict[str, Any]) -> int | None:
    messages = params.get("messages")
    entries = messages if isinstance(messages, list) else []
    numbered = reversed(list(enumerate(entries)))
    return next((index for index, one in numbered if isinstance(one, dict) and one.get("role") == "user"), None)


def document_text(params: dict[str, Any]) -> str:
    """The document in the last user message, without line numbers; the whole message when it holds none."""
    text = last_user_text(params)
    document = find_document(text)
    return text if document is None else document.text


def whole_text(params: dict[str, Any]) -> str:
    """The text of the system prompt and of all messages, one after the other."""
    messages = params.get("messages")
    entries = messages if isinstance(messages, list) else []
    contents = [params.get("system"), *(entry.get("content") for entry in entries if isinstance(entry, dict))]
    return "\n".join(text_of(content) for content in contents)


def input_tokens(params: dict[str, Any]) -> int:
    """An estimate of the prompt's length in tokens: system prompt, messages and tools."""
    characters, pdfs = len(text_of(params.get("system"))), 0
    messages = params.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            content = message.get("content")
            blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
            characters += sum(block_characters(block) for block in blocks if isinstance(block, dict))
            pdfs += pdf_tokens(content)
    if params.get("tools"):
        characters += len(orjson.dumps(params["tools"]))
    return token_count(characters) + pdfs


def block_characters(block: dict[str, Any]) -> int:
    """How many characters of a content block are counted: of its text, of a tool's input, of what a tool brought."""
    if block.get("type") == "tool_use":
        return len(str(block.get("name"))) + len(written(block.get("input")))
    counted = text_of(block.get("content")) if block.get("type") == "tool_result" else block.get("text")
    return len(counted) if isinstance(counted, str) else 0


def token_count(characters: int) -> int:
    """An estimate of how many tokens so many characters of text are; never less than one."""
    return max(1, math.ceil(characters / CHARACTERS_PER_TOKEN))


def sha256_of_params(params: dict[str, Any]) -> str:
    """The SHA-256, in hex, of the parameters as JSON with sorted keys and no spaces."""
    return hashlib.sha256(written(params, orjson.OPT_SORT_KEYS)).hexdigest()


def sha256_of_text(text: str) -> str:
    """The SHA-256, in hex, of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def find_document(text: str) -> Document | None:
    """The first `<document-FENCE …>` of a prompt, or None when there is none that is closed."""
    return next(find_documents(text), None)


def find_documents(text: str) -> Iterator[Document]:
    """Every `<document-FENCE …>` of a prompt that is closed; what looks like one within another is not one."""
    position = 0
    while opening := _OPENING.search(text, position):
        position = opening.end()
        end = text.find(f"\n</document-{opening['fence']}>", position - 1)
        if end < 0:
            continue
        attributes = attributes_of(opening["attributes"])
        body = text[position : max(end, position)]
        position = max(end, position)
        yield Document(
            path=attributes.get("path", ""),
            language=attributes.get("language", ""),
            text=_without_numbers(body),
            numbers=_numbers(body),
        )


def attributes_of(text: str) -> dict[str, str]:
    """The attributes of an element by name, from what stands in its opening tag; their values are unquoted."""
    return {name: _unquote(value) for name, value in _ATTRIBUTE.findall(text)}


def _unquote(value: str) -> str:
    return unescape(value[1:-1], {"&quot;": '"', "&apos;": "'", "&#10;": "\n", "&#13;": "\r", "&#9;": "\t"})


def _without_numbers(body: str) -> str:
    return "\n".join(_LINE_NUMBER.sub("", line, count=1) for line in body.split("\n"))


def _numbers(body: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for line in body.split("\n"):
        found = _LINE_NUMBER.match(line)
        # A line without one, such as the mark of a gap, stands for the next.
        numbers.append(int(found[0].strip(" |")) if found else (numbers[-1] if numbers else 0) + 1)
    return () if numbers == list(range(1, len(numbers) + 1)) else tuple(numbers)
