"""Documents that are no source code: text, Markdown, HTML and PDF, by their names, and the text in them."""

from __future__ import annotations

import io
from posixpath import splitext
from typing import Final

from backcast.domain.documents import NO_TEXT, PAGE_BREAK

TEXT: Final = "text"
MARKDOWN: Final = "markdown"
HTML: Final = "html"
PDF: Final = "pdf"
ENCRYPTED: Final = "encrypted PDF"
NO_PDF: Final = "no PDF that can be read"
NO_HTML: Final = "no HTML that can be read"
_FORMATS: Final = {
    ".txt": TEXT,
    ".text": TEXT,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
}
_PDF_MARK: Final = b"%PDF-"
# The mark need not be at the very beginning.
_PDF_MARK_WITHIN: Final = 1024


class UnreadableError(Exception):
    """A document that has no text for us; its message says why, in a few words."""


def format_of(path: str) -> str | None:
    """The format that a file's name says; None for all that are not read."""
    return _FORMATS.get(splitext(path)[1].lower())


def html_text(markup: str) -> str:
    """The text that a reader of a page sees: no scripts, no styles, nothing hidden; a row of a table in one line.

    Raises:
        UnreadableError: it cannot be read.
    """
    from inscriptis import get_text  # noqa: PLC0415  with lxml a fifth of a second, which few commands need

    try:
        text: str = get_text(markup)
    except Exception as error:
        # It is given whatever lies there, and raises whatever its parser does.
        raise UnreadableError(NO_HTML) from error
    lines = (line.rstrip() for line in storable(text).split("\n"))
    return "\n".join(lines).strip("\n") + "\n"


def pdf_text(content: bytes, most_pages: int) -> str:
    """The text layer of a PDF: its pages with `PAGE_BREAK` between them, and `NO_TEXT` for one that has no text.

    Raises:
        UnreadableError: it is none, is encrypted, which the API does not take, or has more pages.
    """
    from pypdf import PdfReader  # noqa: PLC0415  a tenth of a second, which few commands need

    if _PDF_MARK not in content[:_PDF_MARK_WITHIN]:
        raise UnreadableError(NO_PDF)
    try:
        reader = PdfReader(io.BytesIO(content))
        encrypted, count = reader.is_encrypted, 0 if reader.is_encrypted else len(reader.pages)
    except Exception as error:
        raise UnreadableError(NO_PDF) from error
    if encrypted:
        raise UnreadableError(ENCRYPTED)
    if not count:
        raise UnreadableError(NO_PDF)
    if count > most_pages:
        raise UnreadableError(f"PDF of more than {most_pages} pages")
    return PAGE_BREAK.join(_page_text(reader, number) for number in range(count))


def _page_text(reader: object, number: int) -> str:
    try:
        text: str = reader.pages[number].extract_text()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  a page that cannot be read is like one that is a picture: the API may see more
        return NO_TEXT
    return storable(text).replace(PAGE_BREAK, "\n").strip() or NO_TEXT


def storable(text: str) -> str:
    """The text without what PostgreSQL and UTF-8 cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
