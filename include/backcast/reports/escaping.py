"""Untrusted text in Markdown: shown as it is, never read as markup.

Escaping is as light as it can be, because reports are also read as plain text.
"""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(r"\s+")
_SIMPLE_CODE = re.compile(r"(?<![`\\])(`[^\s`|<>\\&](?:[^`|<>\\&]*[^\s`|<>\\&])?`)(?!`)")
_SPECIAL = re.compile(r"[\\`*\[\]~$]")
_UNDERSCORES = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
_HASHES = re.compile(r"^#|(?<!\S)#(?=#*\s*$)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_WEB_ADDRESS = re.compile(r"://|(?i:(?<=www)\.)")
_MAIL_ADDRESS = re.compile(r"(?<=[\w.+-])@(?=\w)")
_LEADING = re.compile(r"([>+=-]|\d+(?=[.)]))")
_SAFE_CODE = re.compile(r"[\w./@+,:=()~ #-]+")
_BACKTICKS = re.compile(r"`+")
_ENTITIES = {"://": "&#58;//", ".": "&#46;"}
_REPLACEMENT = "\ufffd"
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Without control characters and those that reorder or hide text, which editors and terminals obey."""
    return "".join(_visible(character) for character in text)


def flat(text: str) -> str:
    """On one line, and printable."""
    return printable(_SPACES.sub(" ", text).strip())


def text(value: object) -> str:
    """One line of text that is no link, image, HTML, heading, list, table cell or emphasis; simple `code` may stay."""
    parts = _SIMPLE_CODE.split(flat(str(value)))
    escaped = "".join(part if index % 2 else _escape(part) for index, part in enumerate(parts))
    leading = _LEADING.match(escaped)
    if leading is None:
        return escaped
    # At the start of a line these would open a quote, a list or an underline.
    end = leading.end()
    return escaped[:end] + "\\" + escaped[end:] if escaped[0].isdigit() else "\\" + escaped


def code(value: object) -> str:
    """One line as a code span, such as a path; as escaped text where a code span could not hold it safely."""
    line = flat(str(value))
    return f"`{line}`" if _SAFE_CODE.fullmatch(line) and line == line.strip() else text(line)


def fenced(value: str, language: str = "") -> str:
    """Any number of lines in a code fence that nothing inside can close."""
    lines = [printable(line.expandtabs(4)) for line in re.split(r"\r\n|\r|\n", value.strip("\r\n"))]
    body = "\n".join(lines)
    longest = max((len(run) for run in _BACKTICKS.findall(body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _escape(part: str) -> str:
    part = _ENTITY.sub("&amp;", part)
    part = _SPECIAL.sub(r"\\\g<0>", part)
    part = part.replace("<", "&lt;").replace("|", "&#124;")
    part = _UNDERSCORES.sub(lambda run: "\\_" * len(run[0]), part)
    part = _HASHES.sub(r"\\#", part)
    part = _WEB_ADDRESS.sub(lambda found: _ENTITIES[found[0]], part)
    return _MAIL_ADDRESS.sub("&#64;&#8288;", part)


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return _REPLACEMENT
