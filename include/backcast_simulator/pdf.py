"""PDFs in a prompt: what they weigh. Nobody reads them here."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Any, Final

MOST_PDF_PAGES: Final = 600
# Of a page as text and as a picture, as the API reads it.
TOKENS_A_PAGE: Final = 2_500
_MARK: Final = b"%PDF-"
_MARK_WITHIN: Final = 1024
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")


def pdf_content(source: dict[str, Any]) -> bytes | None:
    """The file in the source of a document block; None when it is no base64."""
    data = source.get("data")
    if not isinstance(data, str):
        return None
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None


def pdf_problem(source: dict[str, Any]) -> str | None:
    """Why the API does not take the PDF in the source of a document block; None when it does."""
    content = pdf_content(source)
    if content is None:
        return "Input should be valid base64"
    if _MARK not in content[:_MARK_WITHIN]:
        return "The PDF specified was not valid."
    if pdf_pages(content) > MOST_PDF_PAGES:
        return f"A maximum of {MOST_PDF_PAGES} PDF pages may be provided."
    return None


def pdf_pages(content: bytes) -> int:
    """How many pages a PDF has, as far as they are not compressed; at least one."""
    return max(1, len(_PAGE.findall(content)))


def pdf_tokens(content: object) -> int:
    """An estimate of the tokens of the PDFs in a message's content."""
    blocks = content if isinstance(content, list) else []
    sources = (block.get("source") for block in blocks if isinstance(block, dict) and block.get("type") == "document")
    files = (pdf_content(source) for source in sources if isinstance(source, dict) and source.get("type") == "base64")
    return sum(TOKENS_A_PAGE * pdf_pages(file) for file in files if file is not None)
