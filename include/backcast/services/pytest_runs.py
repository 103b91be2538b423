"""Runs proposed tests with pytest, in a sandbox, against a checkout of the commit that they are for."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from backcast.domain.outlines import INIT
from backcast.sandbox.leftovers import take_away
from backcast.sandbox.running import Limits, Places, Sandbox, SandboxError, isolation_here
from backcast.sources.checkout import check_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backcast.domain.documents import Snapshot
    from backcast.domain.outlines import Outline
    from backcast.domain.proposed import ProposedFile
    from backcast.domain.static_checks import SandboxTerms
    from backcast.sandbox.running import Ended

_PYTEST: Final = (
    "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short", "--color=no", "--maxfail=10",
)  # fmt: skip
_COUNTED: Final = re.compile(r"\b(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)\b")
_SUMMARY_LINES: Final = 5
# What pytest ends with; everything else is an error of its own, or of how it is called.
_PASSED, _FAILED, _INTERRUPTED, _NOTHING_COLLECTED = 0, 1, 2, 5
_ENDED_BY: Final[Mapping[int, str]] = {signal.SIGXCPU: "the limit on its processor time"}
_LONGEST_DETAIL: Final = 2_500
_PREFIX: Final = "backcast-tests-"
# Held by the process whose folder it is.
_ALIVE: Final = "alive"
_CONTROL: Final = "def test_nothing():\n    pass\n"
_ASKS_PYTHON: Final = (
    "import json, sys, pytest; "
    "folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, *(one for one in sys.path if one)]; "
    "print(json.dumps([sys.executable, *folders]))"
)
_PYTHON_SECONDS: Final = 60
NO_TIME_LEFT: Final = "there was no time left to run it"


@dataclass(frozen=True, slots=True)
class Ran:
    """What running the files of one answer has shown; `detail` is empty when all passed."""

    verdict: Literal["passed", "failed", "not_run"]
    detail: str = ""
    passed: int | None = None
    seconds: float | None = None


class CannotRunError(Exception):
    """No tests can be run here; the text says why."""


class PytestRuns:
    """Runs files of tests one after the other, in one checkout, which none of them can change.

    Args:
        sandbox: runs commands.
        python: the interpreter, and which folders it reads.
        terms: time and memory.
        outline: what the repository holds.
        folder: of the checkout, `repository`, and of what tests may write, `scratch`.
    """

    def __init__(
        self, sandbox: Sandbox, python: tuple[str, list[Path]], terms: SandboxTerms, outline: Outline, folder: Path
    ) -> None:
        self._sandbox, self._terms, self._outline = sandbox, terms, outline
        self._python, self._readable = python
        self._checkout, self._scratch = folder / "repository", folder / "scratch"
        self._seconds: float = terms.seconds

    def end_within(self, seconds: float) -> None:
        """Let nothing that follows take longer than this, should that be less than it may."""
        self._seconds = min(seconds, self._terms.seconds)

    def run(self, files: Sequence[ProposedFile], tested: str) -> Ran:
        """Run the files that are proposed for the file at a path."""
        try:
            ended = self._pytest([(file.path, file.content) for file in files], tested)
            if ended.how == "too long" and self._seconds < self._terms.seconds:
                return Ran("not_run", NO_TIME_LEFT)
            ran = _judged(ended, self._shown(ended.output))
            if ran.verdict != "failed":
                return ran
            why_not = self._why_not_importable(tested) or self._why_none_passes(files[0].path, tested)
        except (SandboxError, OSError) as error:
            return Ran("not_run", str(error))
        # What it tests needs what is not there: the tests are not to blame, and none would pass.
        return Ran("not_run", why_not) if why_not else ran

    def require_control(self, near: str) -> None:
        """Run a test that does nothing, beside where tests are to lie.

        Raises:
            CannotRunError: even that does not pass, so that no test could.
        """
        try:
            why_not = self._why_none_passes(near, near)
        except SandboxError as error:
            hint = "" if self._sandbox.user is None else ". As root, tests are run by another user, who has to reach it"
            raise CannotRunError(f"{error}{hint}") from error
        if why_not:
            raise CannotRunError(why_not)

    def _why_none_passes(self, near: str, tested: str) -> str:
        """Say why not even a test that does nothing passes, beside where tests lie of what is tested; empty if it does.

        The folder that something is imported from may hold modules that take the place of those that pytest needs.
        """
        ended = self._pytest([(str(Path(near).with_name("test_backcast_control.py")), _CONTROL)], tested)
        if ended.exit_code == _PASSED:
            return ""
        return f"even a test that does nothing does not pass in this repository: {self._shown(ended.output)[-500:]}"

    def _pytest(self, files: Sequence[tuple[str, str]], tested: str) -> Ended:
        self._empty_scratch()
        made: list[Path] = []
        try:
            for path, content in files:
                made.append(self._put(path, content))
            arguments = [f"--rootdir={self._checkout}", f"--basetemp={self._scratch / 'pytest'}", "-o", "addopts="]
            return self._command([*_PYTEST, *arguments, *(path for path, _ in files)], tested)
        finally:
            for place in made:
                place.unlink(missing_ok=True)

    def _put(self, path: str, content: str) -> Path:
        place = self._checkout / path
        folders = [folder for folder in place.relative_to(self._checkout).parents if folder != Path()]
        for folder in reversed(folders):
            (self._checkout / folder).mkdir(mode=0o755, exist_ok=True)
        # Never what is there already: its path was chosen so that nothing is.
        with place.open("x", encoding="utf-8", newline="") as file:
            file.write(content)
        place.chmod(0o644)
        return place

    def _empty_scratch(self) -> None:
        take_away(self._scratch)
        (self._scratch / "tmp").mkdir(parents=True, exist_ok=True)
        if self._sandbox.user is not None:
            for folder in (self._scratch, self._scratch / "tmp"):
                os.chown(folder, self._sandbox.user, self._sandbox.user)

    def _command(self, arguments: Sequence[str], tested: str) -> Ended:
        readable = [self._checkout, *self._readable]
        places = Places(self._checkout, readable, [self._scratch], self._checkout.with_name("staging"))
        limits = Limits(self._seconds, self._terms.memory_mb * 1_000_000)
        return self._sandbox.run([self._python, *arguments], self._environment(tested), places, limits)

    def _environment(self, tested: str) -> dict[str, str]:
        packages = {self._outline.root_of(path) for path in self._outline.names if path.endswith(f"/{INIT}")}
        roots = dict.fromkeys([self._outline.root_of(tested), "", *sorted(packages)])
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(str(self._checkout / root) for root in roots),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "PYTHONHASHSEED": "0",
            # Each of its threads reserves memory, which is limited.
            "OPENBLAS_NUM_THREADS": "1",
        }

    def _why_not_importable(self, tested: str) -> str:
        name = self._outline.module_name(tested)
        ended = self._command(["-c", f"import importlib; importlib.import_module({name!r})"], tested)
        if ended.exit_code == 0:
            return ""
        last = (ended.output.strip().splitlines() or ["it did not end" if ended.how != "by itself" else "no reason"])[
            -1
        ]
        return f"{name}, which is tested, cannot be imported here: {self._shown(last)}"

    def _shown(self, output: str) -> str:
        """What is printed, without where on this machine it was."""
        shown = output.replace(f"{self._checkout}/", "").replace(str(self._scratch), "/scratch")
        # A home, whose name need not be known to others. The longest first, since one may lie in another.
        for folder in sorted(map(str, self._readable), key=len, reverse=True):
            shown = shown.replace(f"{folder}/", "")
        return shown.strip()


def _judged(ended: Ended, shown: str) -> Ran:
    counted = {what.rstrip("s"): int(number) for number, what in _COUNTED.findall(_summary(shown))}
    passed = counted.get("passed", 0)
    seconds = round(ended.seconds, 1)
    if ended.how == "by itself" and ended.exit_code == _PASSED and passed:
        return Ran("passed", "", passed, seconds)
    return Ran(_verdict(ended), f"{_why(ended)}\n{_short(shown)}".strip(), None, seconds)


def _verdict(ended: Ended) -> Literal["failed", "not_run"]:
    """Say whose fault it is: an option of pytest that nobody there knows is not of the tests."""
    of_tests = {_PASSED, _FAILED, _INTERRUPTED, _NOTHING_COLLECTED}
    return "failed" if ended.exit_code is None or ended.exit_code < 0 or ended.exit_code in of_tests else "not_run"


def _why(ended: Ended) -> str:
    match ended.how, ended.exit_code:
        case "too long", _:
            return f"running it took longer than {ended.seconds:.0f} s, and was ended"
        case "printed too much", _:
            return "running it printed without an end, and was ended"
        case _, 0:
            return "no test of it was run to its end"
        case _, 5:
            return "pytest finds no test in it"
        case _, int(code) if code < 0:
            return f"{_ENDED_BY.get(-code, f'signal {-code}')} ended it"
        case _, code:
            return f"pytest ended with exit code {code}"


def _summary(shown: str) -> str:
    return " ".join(shown.splitlines()[-_SUMMARY_LINES:])


def _short(shown: str) -> str:
    return shown if len(shown) <= _LONGEST_DETAIL else f"…{shown[-_LONGEST_DETAIL:]}"


@contextmanager
def pytest_runs(snapshot: Snapshot, outline: Outline, terms: SandboxTerms, cache: Path) -> Iterator[PytestRuns]:
    """Yield what runs tests of a commit, with a checkout that is there as long.

    Raises:
        CannotRunError: the sandbox that is asked for cannot be had, or there is no interpreter with pytest.
        InputError: the commit cannot be read any more.
    """
    isolation = isolation_here()
    if terms.sandbox == "full" and isolation.missing:
        raise CannotRunError(
            f"the sandbox cannot be had here: {isolation.missing}. `tests.sandbox: limits`, or "
            "BACKCAST_TESTS_SANDBOX=limits, does with less"
        )
    python = _python(terms)
    with _own_folder() as folder:
        (folder / "repository").mkdir(mode=0o755)
        check_out(snapshot, cache, folder / "repository")
        yield PytestRuns(Sandbox(isolation), python, terms, outline, folder)


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Yield a folder that is there as long; what processes that were killed have left of theirs is taken away."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_ALIVE}"):
        with suppress(OSError), _held(left):
            take_away(left.parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        # Whoever runs the tests is somebody else when we are root.
        folder.chmod(0o755)
        with _held(folder / _ALIVE):
            yield folder
    finally:
        take_away(folder)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a file; OSError when a process that lives does."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _python(terms: SandboxTerms) -> tuple[str, list[Path]]:
    """Return the interpreter that runs tests, and the folders that it reads."""
    named = terms.python or sys.executable
    # Wherever it is run from, which is not here.
    found = shutil.which(str(Path(named).expanduser().absolute()) if "/" in named else named)
    if found is None:
        raise CannotRunError(f"there is no {named}: name an interpreter in tests.python, or BACKCAST_TESTS_PYTHON")
    try:
        done = subprocess.run(  # noqa: S603  a list of arguments, no shell
            [found, "-I", "-c", _ASKS_PYTHON],
            capture_output=True,
            check=False,
            env={},
            stdin=subprocess.DEVNULL,
            timeout=_PYTHON_SECONDS,
        )
        # What was found may be a script that only starts it, by ways that are closed in a sandbox.
        own, *folders = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise CannotRunError(
            f"{named} has no pytest: install it there, or name another interpreter in tests.python, or "
            "BACKCAST_TESTS_PYTHON"
        ) from None
    paths = {Path(folder) for folder in folders}
    return own, sorted(paths | {path.resolve() for path in paths} | {Path(own).resolve().parent})
