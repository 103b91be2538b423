"""The process of `apart.Reader`: reads documents from standard input, within bounds, and tells the text in them."""

from __future__ import annotations

import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import orjson

from backcast.sources.apart import receive, send
from backcast.sources.formats import PDF, UnreadableError, html_text, pdf_pages

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Read one document after the other; one that takes too long ends the process, whatever becomes of its parent."""
    seconds, most_bytes = (int(argument) for argument in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    # Whoever started this may have it ignored.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while (asked := receive(sys.stdin.buffer)) is not None and (content := receive(sys.stdin.buffer)) is not None:
        signal.alarm(seconds)
        try:
            for told in _told(orjson.loads(asked), content):
                send(sys.stdout.buffer, orjson.dumps(told))
        except UnreadableError as error:
            send(sys.stdout.buffer, orjson.dumps({"unreadable": str(error)}))
        sys.stdout.buffer.flush()
        signal.alarm(0)


def _told(asked: dict[str, Any], content: bytes) -> Iterator[dict[str, Any]]:
    if asked["format"] != PDF:
        yield {"text": html_text(content.decode(), asked["most"]), "last": True}
        return
    count, pages = pdf_pages(content, asked["most"])
    yield {"pages": count}
    sys.stdout.buffer.flush()
    for number, text in enumerate(pages, 1):
        yield {"text": text, "last": number == count}
        sys.stdout.buffer.flush()


main()
