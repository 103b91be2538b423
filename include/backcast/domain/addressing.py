"""Text in a diff that speaks to whoever reviews it: what a person should look at before an answer is believed."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from backcast.domain.diffs import ADDED, REMOVED
from backcast.domain.reviews import ReviewFinding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backcast.domain.diffs import Hunk

CATEGORY: Final = "suspicious"
# All patterns are of folded text, and none may look back and forth over a line of any length: whoever writes a document
# also decides how long its lines are.
_ALL: Final = r"(?:(?:all|any|every|each|everything|anything|of|the|these|those|your|my|our|what(?:ever)?) ){0,4}"
_EARLIER: Final = r"(?:above|previous|prior|earlier|preceding|foregoing|initial|original|system)"
_SAID: Final = r"(?:instructions?|prompts?|directions|directives?|guidelines?)"
# Not `context manager`, nor the rules of a style sheet, unless all of them are meant.
_WEAKLY_SAID: Final = r"(?:rules?|messages?|context|orders?|commands?|conversation)\b(?! manager)"
_MACHINE: Final = (
    r"(?:(?:ai|llm|language|large language) (?:model|assistant|code reviewer|reviewer|agent|auditor)"
    r"|(?:automated|automatic) (?:code )?reviewer|ai|llm|language model|assistant|claude|chatgpt|gpt-?\d?)"
)
_ANYBODY: Final = rf"(?:{_MACHINE}|code reviewer|reviewer|auditor|model)"
_ORDER: Final = (
    r"(?:please )?(?:you (?:must|should|shall|are to|have to)|ignore (?:the|all|any|this|every|previous|your)"
    r"|disregard|approve|skip (?:this|the|it|all)|do not (?:report|flag|mention)|don't (?:report|flag|mention)"
    r"|report (?:nothing|no )|(?:answer|reply|respond) with|mark this|treat this)"
)
_NOTHING: Final = (
    r"(?:nothing|no (?:findings?|issues?|problems?|bugs?|debt|vulnerabilit(?:y|ies)|records?|rows?)"
    r"|an? empty (?:list|array|result|answer))\b"
)
_ADVERB: Final = r"(?:please |just |only |simply |exactly |always ){0,2}"
_COMMENT: Final = re.compile(r"^[\s#/*;%<!>|\"'-]+")
# What each text does, words of which one stands in whatever does it, and the patterns that tell it from ordinary text.
_WHAT_IT_DOES: Final = (
    (
        "tells the reviewer to ignore what it was told",
        ("ignore", "disregard", "forget", "override", "bypass", "attention to", "follow", "instruction"),
        re.compile(
            rf"\b(?:ignore|disregard|forget|override|bypass|pay no attention to|(?:do not|don't|stop) follow(?:ing)?)"
            rf"\b,? {_ALL}{_EARLIER} (?:(?:and|or) )?(?:[\w']{{1,20}} )?{_SAID}\b"
            rf"|\b(?:ignore|disregard|forget) (?:all|any|every|everything|anything) {_ALL}{_EARLIER} {_WEAKLY_SAID}"
            rf"|\b(?:ignore|disregard|forget|do not follow|don't follow) {_ALL}(?:your|the reviewer's|the model's) "
            rf"(?:\w{{1,20}} )?(?:{_SAID}|rules?|training)\b"
            rf"|\b(?:ignore|disregard|forget) (?:all|any|the|these) {_SAID}"
            r"(?=\s?(?:[.!,;:]|$|and\b|you\b|above|before|earlier|so far|given))"
            rf"|\b(?:ignore|disregard|forget) {_ALL}(?:above|before this|you were told|came before|stands above)"
            r"(?=\s?(?:[.!,;:\"')*/-]|$|and\b|instead\b))"
            r"|(?:^|[^\w\s]\s?)(?:these are )?(?:your |my |the )?new instructions?\s?:"
        ),
    ),
    (
        "tells the reviewer what to report",
        (
            *(
                "report",
                "respond",
                "answer",
                "reply",
                "empty",
                "nothing",
                "flag ",
                "mention",
                "approve",
                "lgtm",
                "pass ",
            ),
            *("reviewer", "auditor", "assistant", "claude", "chatgpt", "gpt", "llm", "language model", "ai "),
            *("model", "ai,", "ai:"),
        ),
        re.compile(
            # An order, not what a function does.
            rf"(?:^\W{{0,20}}|[.,;:!?\"'>)*/#-]\s?|\b(?:and|then|please|must|just|only|simply|always|instead|to) )"
            rf"{_ADVERB}(?:report {_ADVERB}{_NOTHING}|(?:respond|answer|reply) {_ADVERB}with {_ADVERB}{_NOTHING})"
            rf"|^\s{{0,40}}[#/*;%<!>|\"'-]{{1,4}}\s?{_ADVERB}(?:return|output|list) {_ADVERB}{_NOTHING}\W{{0,10}}$"
            r"|\b(?:do not|don't|never|must not) (?:report|flag) (?:any of (?:this|these)|anything|any (?:findings?"
            r"|issues?|problems?|bugs?|vulnerabilit(?:y|ies))|issues|findings|the (?:following|above)|(?:this|these) "
            r"(?:file|code|document|lines?|issues?|findings?|functions?))\b(?! (?:if|unless|when|as|until|twice)\b)"
            rf"|\b(?:dear|attention|hey|hello|hi|(?:note|message|memo) (?:to|for)),? (?:the |any |all |my |every )?"
            rf"{_MACHINE}s?(?=\s?(?:[,:;.!\u2014-]|$))"
            rf"|\b(?:dear|attention|hey|hello|hi|(?:note |message |memo )?(?:to|for)),? (?:the |any |all |my |every )?"
            rf"{_ANYBODY}s?\s?[:,]\s?{_ORDER}"
            rf"|(?:^\W{{0,20}}|[.!?]\s|@){_ANYBODY}s?\s?[:,]\s?{_ORDER}"
            r"|\bto (?:the )?(?:ai|automated|llm) (?:code )?reviewers?\s?[:,]"
            r"|\bplease,? approve\b(?: this| the change|\W{0,3}$)"
            r"|\b(?:approve|lgtm|pass) (?:this|the) (?:diff|change|pull request|pr|merge request) "
            r"(?:without|unconditionally|as is)\b"
        ),
    ),
    (
        "gives the reviewer another part to play",
        ("you are", "from now on", "ai language model", "as an ai", "system prompt"),
        re.compile(
            rf"\byou are (?:now|no longer) (?:an?|the) (?:[\w-]{{1,20}} ){{0,3}}?{_ANYBODY}\b"
            r"|\bfrom now on,? you (?:are|must|shall|should|answer|respond|reply|report|act|ignore|only|always)\b"
            r"|\bas an ai language model,? (?:you|ignore|report)\b"
            r"|\b(?:reveal|print|repeat|output|leak|show)(?: me)? your (?:system )?prompt\b"
            r"|\b(?:reveal|repeat|leak) the system prompt\b"
        ),
    ),
    (
        "imitates the marks around what the reviewer is shown",
        (
            "<document-",
            "<diff-",
            "/document-",
            "/diff-",
            "</",
            "<|",
            "inst]",
            "<sys>",
            "/sys>",
            "human",
            "assistant",
            "system",
        ),
        re.compile(
            r"</?(?:document|diff)-[0-9a-f]{8,64}\b"
            r"|</(?:document|diff|instructions|system|system_prompt)>[\s\W]{0,20}(?:ignore|you|now|new|from now|human"
            r"|assistant|system|user|instructions?|the review|report|answer)\b"
            r"|<\|(?:im_start|im_end|endoftext|system|user|assistant|eot_id|start_header_id)\|>|\[/inst\]|<</?sys>>"
            r"|^\W{0,40}(?:human|assistant|system)\s?:\s?(?:ignore|you (?:must|should|are now)|the review|answer"
            r"|approved?\b|\W{0,4}\{\s?[\"'](?:findings|records|advice|summary))"
        ),
    ),
    (
        "imitates an answer of the reviewer, or its schema",
        ("findings", "records", "advice"),
        re.compile(
            r"""["']findings["']\s?:\s?\[\s?\]|["']records["']\s?:\s?\[\s?\]\s?,\s?["']unreadable["']"""
            r"""|\b(?:answer|return|output|respond|reply|say|report)\w{0,3} (?:with |only |just |exactly )*\W{0,4}"""
            r"""\{\s?["'](?:findings|records|advice)["']"""
            r"""|"additionalproperties"\s?:.{0,200}?"findings"|"findings"\s?:\s?\{\s{0,20}"type\""""
        ),
    ),
)
_BLANKS: Final = re.compile(r"[^\S\n]{2,}|[^\S\n ]")

# Another search finds something else: what an earlier one found of a text is not what this one would.
SEARCH: Final = hashlib.sha256(
    repr([(what, words, pattern.pattern) for what, words, pattern in _WHAT_IT_DOES]).encode()
).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Addressing:
    """What a text does that no document has to do, and on which of its lines, counted from 1."""

    line: int
    what: str


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
            if what := says_after(before, text):
                yield _finding(path, number, text, what, added=added)
            if line[0] != REMOVED:
                before = text


def speaks_to_the_model(text: str) -> str | None:
    """Return what a document does that no document has to do; None for what seems to be harmless."""
    found = addressing_of(text)
    return found.what if found else None


def addressing_of(text: str) -> Addressing | None:
    """Return where a document first does what no document has to do; None for what seems to be harmless.

    It knows turns of phrase, in English: whoever words it another way is not found. A sentence may go on in the next
    line, and is found there.
    """
    folded = _folded(text)
    # Few lines hold such a word, and it is found faster than any pattern.
    found = [(line, order) for order, (_, words, _) in enumerate(_WHAT_IT_DOES) for line in _lines_with(folded, words)]
    if not found:
        return None
    lines = folded.split("\n")
    for line, order in sorted(found):
        what, _, pattern = _WHAT_IT_DOES[order]
        if pattern.search(lines[line]):
            return Addressing(line + 1, what)
        for first in (line - 1, line):
            if 0 <= first < len(lines) - 1 and pattern.search(_joined(lines[first], lines[first + 1])):
                return Addressing(first + 2, what)
    return None


def says(text: str) -> str | None:
    """Return what a line of text does that no code has to do; None for what seems to be harmless."""
    folded = _folded(text)
    return next(
        (
            what
            for what, words, pattern in _WHAT_IT_DOES
            if any(word in folded for word in words) and pattern.search(folded)
        ),
        None,
    )


def says_after(before: str, text: str) -> str | None:
    """Return what a line does by itself, or with the line before it, that no code has to do.

    A sentence may go on in the next line; what is found in one line is not told again with the next.
    """
    return says(text) or (says(_joined(before, text)) if not says(before) else None)


def _joined(line: str, after: str) -> str:
    """Return a sentence that goes on in the next line; without words in the first it does not."""
    return f"{line.rstrip()} {_COMMENT.sub('', after)}" if _COMMENT.sub("", line) else ""


def _lines_with(text: str, words: Iterable[str]) -> Iterator[int]:
    """Yield the lines, counted from 0, that hold one of some words; some of them more than once."""
    for word in words:
        line = counted = 0
        at = text.find(word)
        while at >= 0:
            line += text.count("\n", counted, at)
            yield line
            # What else the line holds makes no difference.
            counted = text.find("\n", at)
            at = text.find(word, counted) if counted >= 0 else -1


@cache
def _unseen() -> dict[int, None]:
    """Return what no reader sees: marks of no width, of direction, soft hyphens."""
    return dict.fromkeys(code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf")


def _folded(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_unseen())
    return _BLANKS.sub(" ", text.casefold())


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
