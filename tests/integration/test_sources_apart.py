"""What would take a parser all memory, or hours, is read within bounds, and the documents beside it are read."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

import pytest
from tests.pdfs import pdf_of, pdf_of_streams

from backcast.domain.documents import NO_TEXT, PAGE_BREAK, Selection
from backcast.sources.apart import Reader
from backcast.sources.files import FilesSource
from backcast.sources.folder import folder_entries
from backcast.sources.formats import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOWN = b"BT /F1 11 Tf 50 800 Td (a line of text) Tj ET\n"


@pytest.fixture(name="reader")
def make_reader() -> Iterator[Reader]:
    with Reader(longest_seconds=3) as reader:
        yield reader


def test_a_page_that_takes_too_long_has_no_text_and_the_next_pdf_is_read(reader: Reader) -> None:
    # Seventy kilobytes, which a parser is busy with for minutes.
    endless = zlib.compress(SHOWN * 400_000, 9)
    began = time.monotonic()
    assert reader.pdf(pdf_of_streams(zlib.compress(SHOWN), endless, zlib.compress(SHOWN)), 100).split(PAGE_BREAK) == [
        "a line of text",
        NO_TEXT,
        NO_TEXT,
    ]
    assert time.monotonic() - began < 30
    assert reader.pdf(pdf_of(["the next"]), 100) == "the next"


def test_a_table_that_would_be_laid_out_with_hundreds_of_megabytes_of_blanks_is_left_out(tmp_path: Path) -> None:
    rows = "<tr><td>a</td><td>b</td></tr>" * 3_000
    (tmp_path / "a.html").write_text(f"<table><tr><td>{'x' * 100_000}</td><td>a</td></tr>{rows}</table>")
    (tmp_path / "b.html").write_text("<p>small</p>")
    source = FilesSource("inbox", lambda: folder_entries(tmp_path), Selection())
    found = {document.path: document.skip_reason or document.text for document in source.documents()}
    assert found == {"a.html": "HTML whose text is larger than 200000 bytes", "b.html": "small\n"}


def test_a_document_that_takes_too_much_memory_is_left_out_with_a_reason() -> None:
    with Reader(most_bytes=400_000_000) as reader:
        rows = "<tr><td>a</td><td>b</td></tr>" * 10_000
        with pytest.raises(UnreadableError, match="HTML"):
            reader.html(f"<table><tr><td>{'x' * 100_000}</td><td>a</td></tr>{rows}</table>", 200_000)
        assert reader.html("<p>the next</p>", 200_000) == "the next\n"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<p hidden>a</p>1<template>b</template><b style="visibility: hidden">c</b>2', "12\n"),
        ("<span>" * 400 + "deep", "deep\n"),
        ("<!-- nothing -->", ""),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>\n<html><meta charset="latin1"/><p>Größe</p></html>', "Größe\n"),
        ("<p>one<!-- a --> two<?pi x?> three", "one two three\n"),
    ],
)
def test_the_text_of_a_page_is_what_a_reader_sees_however_deep_it_lies(reader: Reader, markup: str, text: str) -> None:
    assert reader.html(markup, 200_000) == text


def test_a_reader_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>small</p>")
    (tmp_path / "b.html").write_text("<p>small</p>")
    source = FilesSource("inbox", lambda: folder_entries(tmp_path), Selection())
    documents = source.documents()
    next(documents)
    reader = documents.gi_frame.f_locals["reader"]  # type: ignore[attr-defined]
    process = reader._process
    documents.close()  # type: ignore[attr-defined]
    assert process.poll() is not None
