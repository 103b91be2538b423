"""Documents that are no source code: text, Markdown, HTML and PDF, by their names, and the text in them."""

from __future__ import annotations

import io
from posixpath import splitext
from typing import TYPE_CHECKING, Final

from backcast.domain.documents import NO_TEXT, PAGE_BREAK

if TYPE_CHECKING:
    from collections.abc import Iterator

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
# Of the text layer of a whole PDF: more than people write on 600 pages. It is kept for quotes to be looked up in.
_MOST_CHARACTERS: Final = 5_000_000
_HIDDEN: Final = "/*//*[@hidden or self::template or contains(translate(@style, ' ', ''), 'visibility:hidden')]"
# Before those at the ends of lines are taken away.
_MOST_BLANKS: Final = 50


class UnreadableError(Exception):
    """A document that has no text for us; its message says why, in a few words."""


def format_of(path: str) -> str | None:
    """The format that a file's name says; None for all that are not read."""
    return _FORMATS.get(splitext(path)[1].lower())


def html_text(markup: str, most_bytes: int) -> str:
    """The text that a reader of a page sees: no scripts, nothing that its markup hides; a row of a table in one line.

    Whoever calls it limits its time and its memory: a table can want any number of blanks.

    Raises:
        UnreadableError: it cannot be read, or its text is larger than so many bytes.
    """
    from inscriptis.html_engine import Inscriptis  # noqa: PLC0415  with lxml a fifth of a second
    from lxml.etree import ParserError  # noqa: PLC0415  as above
    from lxml.html import HTMLParser, document_fromstring  # noqa: PLC0415  as above

    # Without `huge_tree` what lies deep is dropped in silence. As bytes, since a text may not declare its encoding.
    parser = HTMLParser(huge_tree=True, encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        page = document_fromstring(markup.encode(), parser=parser)
        for hidden in page.xpath(_HIDDEN):
            hidden.drop_tree()
        text: str = Inscriptis(page).get_text()
    except ParserError:
        # There is no element in it.
        return ""
    except Exception as error:
        # It is given whatever lies there, and raises whatever its parser does.
        raise UnreadableError(NO_HTML) from error
    if len(text) > _MOST_BLANKS * most_bytes:
        raise UnreadableError(f"HTML whose text is larger than {most_bytes} bytes")
    shown = "\n".join(line.rstrip() for line in storable(text).split("\n")).strip("\n") + "\n"
    if len(shown.encode()) > most_bytes:
        raise UnreadableError(f"HTML whose text is larger than {most_bytes} bytes")
    return shown


def pdf_pages(content: bytes, most_pages: int) -> tuple[int, Iterator[str]]:
    """How many pages a PDF has, and the text layer of each; `NO_TEXT` for one that has no text.

    Whoever calls it limits its time and its memory: a page can be packed a thousandfold.

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
    return count, _texts(reader, count)


def _texts(reader: object, count: int) -> Iterator[str]:
    left = _MOST_CHARACTERS
    for number in range(count):
        text = _page_text(reader, number)
        if len(text) > left:
            yield NO_TEXT
            continue
        left -= len(text)
        yield text


def _page_text(reader: object, number: int) -> str:
    try:
        text: str = reader.pages[number].extract_text()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001  a page that cannot be read is like one that is a picture: the API may see more
        return NO_TEXT
    return storable(text).replace(PAGE_BREAK, "\n").strip() or NO_TEXT


def storable(text: str) -> str:
    """The text without what PostgreSQL and UTF-8 cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
