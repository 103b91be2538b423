"""The `custom_id` a request travels under: readable, and proof of which sending a result row came from.

It reads SLUG-DOCUMENT-rROUND-NONCE-POSITION, at most 64 of `[a-zA-Z0-9_-]`; the ledger's function `wire_id` builds it.
"""

from __future__ import annotations

import re

# 64 less eight digits of the document, the nonce, a round and a position of up to 100,000, and what joins them.
_SLUG_LENGTH = 24


def slug(workflow: str) -> str:
    """Return a workflow's name as a `custom_id` may hold it, shortened."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", workflow).strip("-")[:_SLUG_LENGTH].rstrip("-")
