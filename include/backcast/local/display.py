"""Shows how a night goes: a live line on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from backcast.reports.wording import count, duration

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


@dataclass(frozen=True, slots=True)
class View:
    """What is worth seeing of a run at one moment."""

    stage: str
    batches: int = 0
    batches_ended: int = 0
    requests: int = 0
    answered: int = 0
    left: timedelta | None = None

    def figures(self) -> str:
        """The figures in words."""
        parts = []
        if self.batches:
            parts.append(f"{self.batches_ended} of {count(self.batches, 'batch', 'batches')} ended")
        if self.requests:
            parts.append(f"{self.answered} of {count(self.requests, 'request')} answered")
        if self.left is not None:
            late = self.left < timedelta(0)
            parts.append(f"{duration(self.left)} {'past' if late else 'to'} the deadline")
        return ", ".join(parts)


class Display:
    """Where a night reports to; `with` it, so that a live line ends before something else is printed."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._shown: View | None = None
        self._live: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        # Never as markup: a path or a message of git may contain brackets.
        self.console.print(line, markup=False)

    def show(self, view: View) -> None:
        """Show how it stands now."""
        if self.console.is_terminal:
            self._show_live(view)
        # The clock alone is no news.
        elif self._shown is None or replace(view, left=None) != replace(self._shown, left=None):
            figures = view.figures()
            self.say(view.stage + (f": {figures}" if figures else ""))
        self._shown = view

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show_live(self, view: View) -> None:
        if self._live is None:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[figures]}", markup=False),
            )
            self._live = Progress(*columns, console=self.console, transient=True)
            self._live.add_task(view.stage, total=None, figures="")
            self._live.start()
        # Without a total the bar only pulses.
        total = view.requests or None
        task = self._live.task_ids[0]
        self._live.update(task, description=view.stage, total=total, completed=view.answered, figures=view.figures())
