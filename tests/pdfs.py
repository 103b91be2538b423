"""Small PDFs: a page for each text, which is written in Helvetica; a page of None holds a picture and no text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_HEIGHT = 14


def pdf_of(*pages: Sequence[str] | None) -> bytes:
    """Write a PDF whose pages have these lines, in Latin letters."""
    return _pdf([_content(lines) for lines in pages], b"")


def pdf_of_streams(*pages: bytes) -> bytes:
    """Write a PDF whose pages have these contents, each compressed."""
    return _pdf(pages, b"/Filter /FlateDecode ")


def _pdf(pages: Sequence[bytes], packed: bytes) -> bytes:
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(pages)))
    font = 3 + 2 * len(pages)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
    ]
    for number, content in enumerate(pages):
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {4 + 2 * number} 0 R "
            f"/Resources << /Font << /F1 {font} 0 R >> >> >>".encode(),
            b"<< %s/Length %d >>\nstream\n%s\nendstream" % (packed, len(content), content),
        ]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    return _file(objects)


def _content(lines: Sequence[str] | None) -> bytes:
    if lines is None:
        return b"0.5 g 50 50 400 600 re f"
    shown = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in lines)
    return "".join(
        f"BT /F1 11 Tf 50 {800 - _LINE_HEIGHT * number} Td ({line}) Tj ET\n" for number, line in enumerate(shown)
    ).encode("cp1252")


def _file(objects: Sequence[bytes]) -> bytes:
    file, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(file)
