"""Text in a diff that speaks to whoever reviews it: what a person should look at before an answer is believed."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from backcast.domain.diffs import ADDED, REMOVED
from backcast.domain.reviews import ReviewFinding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backcast.domain.diffs import Hunk

CATEGORY: Final = "suspicious"
_EARLIER: Final = r"(?:above|previous|prior|earlier|preceding|foregoing|system|initial|original|all)"
_SAID: Final = r"(?:instructions?|prompts?|rules?|directions?|guidelines?|context|messages?)"
_SPOKEN_TO: Final = r"(?:ai|llm|language model|assistant|claude|(?:code |automated |ai )?reviewer|model)"
_WHAT_IT_DOES: Final = {
    "tells the reviewer to ignore what it was told": re.compile(
        rf"\b(?:ignore|disregard|forget|override|bypass)\b[^.;]{{0,40}}?\b{_EARLIER}\b[^.;]{{0,20}}?\b{_SAID}\b"
        rf"|\b(?:ignore|disregard|forget)\b (?:everything |all |anything |the |what(?:ever)? (?:is |stands )?)*"
        rf"(?:above|before this|you were told)\b"
        rf"|\bnew instructions?\s*:"
    ),
    "tells the reviewer what to report": re.compile(
        r"\b(?:report|return|output|respond with|answer with|reply with|list) (?:exactly |only |just )?"
        r"(?:nothing|no (?:findings|issues|problems|bugs)|an? empty (?:list|array|result))\b"
        r"|\b(?:do not|don't|never|must not) (?:report|flag|mention|list) "
        r"(?:this|these|any|anything|the (?:following|above)|issues|findings)\b"
        rf"|\b(?:dear|attention|note to|hey|hello|to the|message (?:for|to)) (?:the |any |all )?{_SPOKEN_TO}s?\b"
        rf"|\b{_SPOKEN_TO}s?\b\s*[:,]\s*(?:please|you must|you should|ignore|approve|skip|do not|don't|report)\b"
        r"|\b(?:approve|lgtm|pass) (?:this|the) (?:diff|change|pull request|pr|merge request) "
        r"(?:without|unconditionally|as is)\b"
    ),
    "gives the reviewer another part to play": re.compile(
        r"\byou are (?:now )?(?:an?|the) (?:helpful |senior |expert |automated |friendly )*"
        r"(?:ai|llm|language model|assistant|reviewer|code reviewer)\b"
        r"|\bfrom now on,? you\b|\bas an ai (?:language )?model\b"
        r"|\b(?:reveal|print|repeat) (?:your|the) system prompt\b"
    ),
    "imitates the marks around what the reviewer is shown": re.compile(
        r"</?(?:document|diff)-[0-9a-f]{4,}|</(?:document|diff|instructions|system)>"
        r"|<\|(?:im_start|im_end|endoftext|system|user|assistant)\|>|\[/?inst\]|<</?sys>>"
        r"|^\s*(?:\W+ )?(?:human|assistant|system)\s*:\s*(?:ignore|you|the review|answer|\{)"
    ),
    "imitates an answer of the reviewer, or its schema": re.compile(
        r"""["'](?:findings|records)["']\s*:\s*\[\s*\]|"additionalproperties"\s*:.*"findings"|"findings"\s*:\s*\{\s*"type\""""
    ),
}
_COMMENT: Final = re.compile(r"^[\s#/*;%<!>|\"'-]+")


def addressed_to_reviewer(path: str, hunks: Iterable[Hunk]) -> Iterator[ReviewFinding]:
    """Yield a finding for each line, or two lines together, that seems to speak to the reviewer, and for the path.

    What the change adds is high; what it removes, or what stands beside it, is low. It knows turns of phrase, in
    English; whoever words it another way is not found, and a text about prompts may be found wrongly.

    Args:
        path: of the file.
        hunks: what is shown of it, in order.
    """
    if what := says(path):
        yield _finding(path, 1, path, what, added=True)
    for hunk in hunks:
        before = ""
        for number, line in hunk.numbered():
            text, added = line[1:], line[0] == ADDED
            # A sentence may go on in the next line; what is found in one line is not told again with the next.
            what = says(text) or (says(f"{before} {_COMMENT.sub('', text)}") if not says(before) else None)
            if what:
                yield _finding(path, number, text, what, added=added)
            if line[0] != REMOVED:
                before = text


def speaks_to_the_model(text: str) -> str | None:
    """Return what a document does that no document has to do, line by line; None for what seems to be harmless.

    It knows turns of phrase, in English: whoever words it another way is not found.
    """
    lines = text.split("\n")
    pairs = (f"{line} {after}" for line, after in zip(lines, [*lines[1:], ""], strict=True))
    return next((what for pair in pairs if (what := says(pair))), None)


def says(text: str) -> str | None:
    """Return what a line of text does that no code has to do; None for what seems to be harmless."""
    folded = "".join(
        character for character in unicodedata.normalize("NFKC", text) if unicodedata.category(character) != "Cf"
    ).casefold()
    return next((what for what, pattern in _WHAT_IT_DOES.items() if pattern.search(folded)), None)


def _finding(path: str, number: int, text: str, what: str, *, added: bool) -> ReviewFinding:
    line = max(1, number)
    return ReviewFinding(
        path=path,
        line_start=line,
        line_end=line,
        severity="high" if added else "low",
        category=CATEGORY,
        title="Text that speaks to the reviewer",
        why=f"It {what}. A review by a model cannot be relied on for a change that tries to steer it.",
        suggestion="Let a person read this file, and find out how the text came there.",
        evidence=text,
    )
