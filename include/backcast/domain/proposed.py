"""Files of tests as an answer proposes them: where they belong in the repository, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backcast.domain.static_checks import NOTE, TESTS, failed_check
from backcast.domain.testing import NewTests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backcast.domain.outlines import Outline


@dataclass(frozen=True, slots=True)
class ProposedFile:
    """A file of tests: where it belongs, what stands in it, and what it covers, in its author's words."""

    path: str
    content: str
    covers: tuple[str, ...]


class ProposedTests:
    """Looks at answers that propose tests of one repository; nothing of them is run.

    Args:
        outline: what the repository holds; None when that is not known: then imports are not looked at.
    """

    def __init__(self, outline: Outline | None) -> None:
        self._outline = outline
        self._places = NewTests(outline.paths if outline else ())

    @property
    def knows_imports(self) -> bool:
        """Whether it can say what a file may import."""
        return self._outline is not None

    def files(self, answer: Mapping[str, Any], path: str) -> list[ProposedFile]:
        """Return the files of an answer about the file at a path. Where they lie is never the answer's to say."""
        tests = answer[TESTS]
        places = self._places.paths(path, len(tests))
        return [
            ProposedFile(place, one["content"], tuple(str(covered) for covered in one.get("covers", ())))
            for place, one in zip(places, tests, strict=True)
        ]

    def failed_check(self, answer: Mapping[str, Any], path: str) -> str | None:
        """Return what is wrong with an answer about the file at a path; None when nothing is."""
        files = self.files(answer, path)
        if not files:
            reason = str(answer.get(NOTE) or "").strip()
            return None if reason else f"it proposes no tests, and `{NOTE}` does not say why"
        for number, file in enumerate(files, 1):
            wrong = failed_check(file.content, file.path, path, self._outline)
            if wrong:
                which = f"file {number} of {len(files)}: " if len(files) > 1 else ""
                return f"{which}{wrong}"
        return None
