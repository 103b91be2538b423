"""Ctrl-C, SIGTERM and a closed terminal end the work in order, once."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """One of the signals arrived; `exit_code` is what a shell expects then."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def shut_ears() -> None:
    """Ignore the signals from now on: a clean-up that is broken off leaves processes behind."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Raise `Interrupted` at the first signal inside a `with` block; those after it are ignored."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        shut_ears()
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
