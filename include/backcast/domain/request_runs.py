"""What the same command does again: it goes on with its run, and pays for nothing twice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from backcast.domain.errors import InputError


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """The last run of the same two files. `sha256` is of its requests; `over` when it has written its answers."""

    run_id: int
    sha256: str
    over: bool
    canceled: bool


class Course(Enum):
    """Whether a run is begun, the earlier one goes on, its answers are written once more, or nothing is left to do."""

    BEGIN = auto()
    GO_ON = auto()
    WRITE = auto()
    DONE = auto()


def course(earlier: EarlierRun | None, sha256: str, *, output_exists: bool, anew: bool, output: str) -> Course:
    """Decide what the command does.

    Args:
        earlier: the last run of the same files; None when there is none.
        sha256: of the requests as they are now.
        output_exists: whether the file of answers is there.
        anew: whether a run is to be begun whatever went before.
        output: the file of answers, for messages.

    Raises:
        InputError: it would write over something, or mix two versions of the requests.
    """
    same = earlier is not None and earlier.sha256 == sha256
    if earlier is None or earlier.canceled or anew or (earlier.over and not same):
        if output_exists:
            raise InputError(f"{output} exists: move it away, or name another output.")
        return Course.BEGIN
    if earlier.over:
        return Course.DONE if output_exists else Course.WRITE
    if not same:
        raise InputError(
            f"The requests have changed since run {earlier.run_id} of them began, and it is not over: put them back to "
            "go on with it, or give --anew, which cancels what it has in flight and begins with the new ones."
        )
    return Course.GO_ON
