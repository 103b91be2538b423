"""Reads HTML and PDFs in a process of its own: a few kilobytes can take their parsers all memory, or hours."""

from __future__ import annotations

import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any, Final, Self

import orjson

from backcast.domain.documents import NO_TEXT, PAGE_BREAK
from backcast.sources.formats import HTML, PDF, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A hundred pages of text take half a second.
LONGEST_SECONDS: Final = 30
MOST_BYTES: Final = 2 * 1024**3
TOO_MUCH_WORK: Final = "takes too long, or too much memory, to read"
_LENGTH_BYTES: Final = 8


class _EndedError(Exception):
    """The process ended before it had told everything."""


class Reader:
    """Reads one document after the other; its process is started with the first, and again when one has ended it.

    Args:
        longest_seconds: what a document may take.
        most_bytes: the memory that the process may take.
    """

    def __init__(self, longest_seconds: int = LONGEST_SECONDS, most_bytes: int = MOST_BYTES) -> None:
        self._limits = (str(longest_seconds), str(most_bytes))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def html(self, markup: str, most_bytes: int) -> str:
        """The text of a page, as `html_text` does.

        Raises:
            UnreadableError: it cannot be read, or its text is larger than so many bytes.
        """
        try:
            [told] = self._told({"format": HTML, "most": most_bytes}, markup.encode())
        except _EndedError:
            raise UnreadableError(f"HTML that {TOO_MUCH_WORK}") from None
        return str(told["text"])

    def pdf(self, content: bytes, most_pages: int) -> str:
        """The text layer of a PDF, as `pdf_pages` does; pages that take too long to read have no text.

        Raises:
            UnreadableError: as there; or nothing of it can be read in time.
        """
        pages: list[str] = []
        count = 0
        try:
            for told in self._told({"format": PDF, "most": most_pages}, content):
                if "pages" in told:
                    count = told["pages"]
                else:
                    pages.append(told["text"])
        except _EndedError:
            if not count:
                raise UnreadableError(f"PDF that {TOO_MUCH_WORK}") from None
        return PAGE_BREAK.join([*pages, *[NO_TEXT] * (count - len(pages))])

    def _told(self, asked: dict[str, Any], content: bytes) -> Iterator[dict[str, Any]]:
        process = self._process = self._process or self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process was started with pipes")
        try:
            for part in (orjson.dumps(asked), content):
                send(process.stdin, part)
            process.stdin.flush()
            while told := orjson.loads(receive(process.stdout) or b"{}"):
                if "unreadable" in told:
                    raise UnreadableError(told["unreadable"])
                yield told
                if told.get("last"):
                    return
        except OSError:
            # It has ended while it was written to.
            told = {}
        self._end()
        raise _EndedError

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  our own interpreter and our own module
            [sys.executable, "-P", "-m", "backcast.sources", *self._limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Parsers tell there what they think of each file.
            stderr=subprocess.DEVNULL,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def send(stream: IO[bytes], content: bytes) -> None:
    """Write so many bytes, and before them how many they are."""
    stream.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(content)


def receive(stream: IO[bytes]) -> bytes | None:
    """Return what `send` wrote; None at the end, or when it came only in part."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    content = stream.read(length)
    return content if len(content) == length else None
