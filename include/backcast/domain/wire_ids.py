"""The `custom_id` a request travels under: readable, and proof of which sending a result row came from.

It reads SLUG-DOCUMENT-rROUND-NONCE-POSITION, at most 64 of `[a-zA-Z0-9_-]`; the ledger's function `wire_id` builds it.
"""

from __future__ import annotations

import re

# 64 less eight digits of the document, the nonce, a round and a position of up to 100,000, and what joins them.
_SLUG_LENGTH = 24
_WIRE_ID = re.compile(r"[a-zA-Z0-9-]+-[0-9a-f]{8}-r[0-9]+-(?P<nonce>[0-9a-f]{10})-[0-9]+")


def slug(workflow: str) -> str:
    """Return a workflow's name as a `custom_id` may hold it, shortened."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", workflow).strip("-")[:_SLUG_LENGTH].rstrip("-")


def wire_id(slug: str, answer_key: str, round_number: int, nonce: str, position: int) -> str:
    """Return what the ledger's function `wire_id` returns, for what no ledger knows of."""
    return f"{slug}-{answer_key[:8]}-r{round_number}-{nonce}-{position}"


def nonce_of(wire_id: str) -> str | None:
    """Return the nonce of the sending that a `custom_id` came from; None when it is not one of ours."""
    match = _WIRE_ID.fullmatch(wire_id)
    return match["nonce"] if match else None
