"""What an answer of a code-review workflow finds, and how a finding is known again on another night."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from backcast.domain.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def categories_of(answer_schema: str) -> tuple[str, ...]:
    """Return the categories that an answer schema (JSON text) lists for findings, in its order; it may have none."""
    node: Any = json.loads(answer_schema)
    for step in ("properties", "findings", "items", "properties", "category", "enum"):
        node = node.get(step) if isinstance(node, dict) else None
    return tuple(map(str, node)) if isinstance(node, list) else ()


def with_fingerprints(path: str, findings: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pair each finding of one document with its fingerprint.

    A fingerprint is made of path, category and quoted lines without their blanks, so it survives lines that move and
    titles that are worded anew. The same quote under the same category a second time gets an ordinal.
    """
    seen: Counter[str] = Counter()
    for finding in findings:
        quote = "\n".join("".join(line.split()) for line in split_lines(finding["evidence"].strip()))
        text = "\0".join((path, finding["category"], quote))
        ordinal = seen[text]
        seen[text] += 1
        yield hashlib.sha256(f"{text}\0{ordinal}".encode()).hexdigest()[:32], finding
