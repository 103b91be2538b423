"""Documents of a folder or an object store: what is read, what is left out and why, and nothing from anywhere else."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import fsspec
import pytest
from tests.pdfs import pdf_of

from backcast.domain.documents import NO_TEXT, PAGE_BREAK, Selection, SourceDocument
from backcast.domain.errors import InputError
from backcast.domain.object_stores import check_url
from backcast.sources.files import FilesSource
from backcast.sources.folder import folder_entries
from backcast.sources.object_store import object_entries

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="inbox")
def make_inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def source(folder: Path, **selection: object) -> FilesSource:
    chosen = replace(Selection(), **selection)  # type: ignore[arg-type]
    return FilesSource(str(folder), lambda: folder_entries(folder), chosen)


def texts(of: FilesSource) -> dict[str, str]:
    return {document.path: document.text for document in of.documents() if document.text is not None}


def reasons(of: FilesSource) -> dict[str, str | None]:
    return {document.path: document.skip_reason for document in of.documents()}


def test_no_symbolic_link_leads_out_of_the_folder(inbox: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("a secret\n")
    (inbox / "file.txt").symlink_to(secret / "key.txt")
    (inbox / "folder").symlink_to(secret)
    (inbox / "loop").symlink_to(inbox)
    (inbox / "plain.txt").write_text("plain\n")
    found = reasons(source(inbox))
    assert found == {
        "file.txt": "symbolic link",
        "folder": "symbolic link",
        "loop": "symbolic link",
        "plain.txt": None,
    }


def test_a_file_that_becomes_a_link_or_grows_after_it_was_listed_is_not_read(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("a secret\n")
    for name in ("a.txt", "b.txt"):
        (inbox / name).write_text("small\n")
    listed = folder_entries(inbox)

    def meddled() -> object:
        for entry in listed:
            if entry.path == "a.txt":
                (inbox / "a.txt").unlink()
                (inbox / "a.txt").symlink_to(tmp_path / "key.txt")
            else:
                (inbox / "b.txt").write_text("x" * 500)
            yield entry

    found = FilesSource("inbox", meddled, Selection(max_document_bytes=100))  # type: ignore[arg-type]
    assert reasons(found) == {"a.txt": "cannot be read", "b.txt": "larger than 100 bytes"}


def test_what_cannot_be_read_is_left_out_with_its_reason(inbox: Path) -> None:
    files: dict[str, bytes] = {
        ".hidden.txt": b"hidden\n",
        "blank.md": b" \n",
        "empty.txt": b"",
        "image.png": b"\x89PNG",
        "latin.txt": "M\u00fcller".encode("latin-1"),
        "long.pdf": pdf_of(["one"], ["two"], ["three"]),
        "nul.txt": b"a\0b",
        "page.html": b"<html><body><script>x()</script></body></html>",
        "big.txt": b"x" * 101,
        "wrong.pdf": b"no PDF at all",
        "left/out.txt": b"excluded\n",
        "late.txt": b"the second\n",
        "fine.txt": b"\xef\xbb\xbffine\n",
    }
    for name, content in files.items():
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(content)
    os.mkfifo(inbox / "pipe.txt")
    limited = source(inbox, max_document_bytes=100, max_pdf_pages=2, max_documents=1, exclude=("left/",))
    assert reasons(limited) == {
        ".hidden.txt": "hidden",
        "big.txt": "larger than 100 bytes",
        "blank.md": "empty",
        "empty.txt": "empty",
        "fine.txt": None,
        "image.png": "no text, Markdown, HTML or PDF",
        "late.txt": "over max_documents",
        "latin.txt": "over max_documents",
        "left/out.txt": "excluded",
        "long.pdf": "over max_documents",
        "nul.txt": "over max_documents",
        "page.html": "over max_documents",
        "pipe.txt": "no regular file",
        "wrong.pdf": "over max_documents",
    }
    rest = reasons(source(inbox, max_pdf_pages=2))
    assert [rest[name] for name in ("latin.txt", "long.pdf", "nul.txt", "page.html", "wrong.pdf")] == [
        "not UTF-8",
        "PDF of more than 2 pages",
        "binary",
        "empty",
        "no PDF that can be read",
    ]
    assert texts(limited) == {"fine.txt": "fine\n"}


def test_html_is_read_as_a_reader_sees_it(inbox: Path) -> None:
    (inbox / "a.html").write_text(
        "<html><head><title>T</title><style>p {}</style></head><body><p>Dear <b>Ms</b> M&uuml;ller,</p>"
        "<table><tr><td>Total</td><td>EUR 5</td></tr></table><p style='display:none'>unseen</p></body></html>"
    )
    lines = [line.split() for line in texts(source(inbox))["a.html"].splitlines() if line]
    assert lines == [["Dear", "Ms", "M\u00fcller,"], ["Total", "EUR", "5"]]


def test_a_pdf_comes_with_its_text_layer_page_by_page(inbox: Path) -> None:
    content = pdf_of(["Invoice 7", "Total EUR 5"], None)
    (inbox / "a.pdf").write_bytes(content)
    [document] = source(inbox).documents()
    assert (document.language, document.pdf, document.size) == ("pdf", content, len(content))
    assert document.text == f"Invoice 7\nTotal EUR 5{PAGE_BREAK}{NO_TEXT}"
    findings = FilesSource("inbox", lambda: folder_entries(inbox), Selection(), pdf=False)
    assert reasons(findings) == {"a.pdf": "PDF, which only workflows that extract records read"}


def test_the_snapshot_is_the_same_as_long_as_names_and_contents_are(inbox: Path) -> None:
    def snapshot() -> tuple[str, datetime]:
        of = source(inbox)
        list(of.documents())
        return of.snapshot().commit, of.snapshot().committed_at

    (inbox / "a.txt").write_text("one\n")
    os.utime(inbox / "a.txt", (1_000_000_000, 1_000_000_000))
    first = snapshot()
    assert first[1] == datetime.fromtimestamp(1_000_000_000, UTC)
    os.utime(inbox / "a.txt", (1_000_000_500, 1_000_000_500))
    assert snapshot()[0] == first[0]
    (inbox / "a.txt").rename(inbox / "b.txt")
    renamed = snapshot()[0]
    (inbox / "b.txt").write_text("two\n")
    assert len({first[0], renamed, snapshot()[0]}) == 3


def test_files_come_in_path_order(inbox: Path) -> None:
    for name in ("a/z.txt", "a.txt", "b.txt", "a-b.txt"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_text(f"{name}\n")
    assert list(texts(source(inbox))) == ["a-b.txt", "a.txt", "a/z.txt", "b.txt"]


def test_an_object_store_is_read_like_a_folder(inbox: Path) -> None:
    store = fsspec.filesystem("memory")
    files = {"inbox/a.txt": b"one\n", "inbox/deep/b.md": b"# two\n", "inbox/.c.txt": b"hidden", "inbox2/d.txt": b"no"}
    for name, content in files.items():
        store.pipe_file(f"/{name}", content)
    of = FilesSource("memory://inbox", lambda: object_entries("memory://inbox/"), Selection())
    expected = {"a.txt": None, "deep/b.md": None, ".c.txt": "hidden"}
    assert reasons(of) == expected
    store.rm("/", recursive=True)
    assert abs((of.snapshot().committed_at - datetime.now(UTC)).total_seconds()) < 3600
    (inbox / "e.txt").write_text("by URL\n")
    by_url = FilesSource("inbox", lambda: object_entries(inbox.as_uri()), Selection())
    assert [document.text for document in documents(by_url)] == ["by URL\n"]


def documents(of: FilesSource) -> list[SourceDocument]:
    return list(of.documents())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:secret@bucket/in", "holds credentials"),
        ("s3://bucket/in?token=secret", "holds credentials"),
        ("http://example.org/in", "is no object store that is read"),
        ("simplecache::s3://bucket/in", "is no object store that is read"),
        ("s3:///in", "names no bucket"),
        ("file://host/in", "names a machine"),
    ],
)
def test_a_url_that_is_not_read_is_refused_without_its_secrets(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        check_url(url)
    assert "secret" not in str(raised.value)


def test_a_store_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(InputError, match=r"gs:// needs the package gcsfs: `pip install gcsfs`"):
        list(object_entries("gs://bucket/in"))


def test_names_that_are_shown_alike_are_told_apart(inbox: Path) -> None:
    (inbox / r"a\xff.txt").write_text("plain\n")
    (inbox / os.fsdecode(b"a\xff.txt")).write_text("odd\n")
    found = reasons(source(inbox))
    assert sorted(found.values(), key=str) == [None, "called like another when it is shown"]


def test_folders_that_are_nested_deep_are_left_out_and_stop_nothing(inbox: Path) -> None:
    (inbox.joinpath(*"d" * 150)).mkdir(parents=True)
    (inbox.joinpath(*"d" * 100) / "in.txt").write_text("deep\n")
    (inbox.joinpath(*"d" * 150) / "out.txt").write_text("deeper\n")
    found = reasons(source(inbox))
    assert found == {"d/" * 100 + "in.txt": None, "d/" * 101: "more than 100 folders deep"}


def test_a_file_that_is_written_while_it_is_read_is_left_out(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inbox / "a.txt").write_text("half of\n")
    fstat = os.fstat

    def written(descriptor: int) -> os.stat_result:
        found = fstat(descriptor)
        with (inbox / "a.txt").open("a") as file:
            file.write("it\n")
        return found

    monkeypatch.setattr(os, "fstat", written)
    assert reasons(source(inbox)) == {"a.txt": "changed while it was read"}


def test_a_time_that_no_calendar_has_stops_nothing(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inbox / "a.txt").write_text("plain\n")
    stat, beyond = os.stat, 2**40
    monkeypatch.setattr(os, "stat", lambda *a, **k: os.stat_result((*stat(*a, **k)[:7], beyond, beyond, beyond)))
    assert reasons(source(inbox)) == {"a.txt": None}
