"""The versions of a workflow's prompt: which one is active, who made it so, when and why.

The last promotion holds until the workflow's files declare something else than they did then: an edit in git takes
effect by itself, and a promotion is not undone by whatever else is deployed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import insert_prompt, prompt_of_row
from backcast.settings import load_prompt, prompt_versions, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backcast.domain.workflow import PromptVersion
    from backcast.services.open_run import Clock

DECLARED_BY: Final = "workflow.yaml"
DECLARED_WHY: Final = "the files of the workflow declare it"
_SHORTEST_HASH: Final = 6


@dataclass(frozen=True, slots=True)
class Promotion:
    """Who made a version active, when and why, on which scores, as `Scores.view` has them; what the files declared."""

    version: str
    prompt_hash: str
    declared_hash: str
    promoted_at: datetime
    promoted_by: str
    why: str
    scores: dict[str, Any] | None

    def view(self) -> dict[str, Any]:
        """Return it by column name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """A version that has files, or that the ledger has seen, for the first time at `first_seen_at`."""

    version: str
    prompt_hash: str
    in_files: bool
    first_seen_at: datetime | None
    active: bool

    def view(self) -> dict[str, Any]:
        """Return it by column name."""
        return asdict(self)


def declared_prompt(workflow: str) -> PromptVersion:
    """Return the version that a workflow's files declare.

    Raises:
        InputError: there is no such workflow, or its files cannot be used.
    """
    return load_prompt(workflow, str(resolve(workflow, {})["prompt"].value))


def active_prompt(connection: Connection, now: datetime, workflow: str, declared: PromptVersion) -> PromptVersion:
    """Return the version that a new run of a workflow uses; when its files declare another one than before, that one.

    Args:
        connection: in a transaction; the workflow's promotions are held until it ends.
        now: the time in UTC.
        workflow: its name.
        declared: what its files declare now.
    """
    connection.execute(sql("lock_prompts"), {"workflow": workflow})
    last = connection.execute(sql("last_promotion"), {"workflow": workflow}).fetchone()
    if not _holds(last, declared):
        _insert(connection, now, workflow, declared, declared, DECLARED_BY, DECLARED_WHY, None)
    return _active(last, declared)


def current_prompt(connection: Connection, workflow: str, declared: PromptVersion) -> PromptVersion:
    """Return the version that a run opened now would use, and make nothing active: for whoever only looks."""
    return _active(connection.execute(sql("last_promotion"), {"workflow": workflow}).fetchone(), declared)


def promote(  # noqa: PLR0913  a row of the ledger, and where it goes
    ledger: Ledger,
    clock: Clock,
    workflow: str,
    version: str | PromptVersion,
    *,
    by: str,
    why: str,
    declared: PromptVersion,
    scores: Mapping[str, Any] | None = None,
) -> Promotion:
    """Make a version active until somebody promotes another one, or the workflow's files change.

    The very same promotion once more, as when a task is repeated, adds nothing.

    Args:
        ledger: where promotions are kept.
        clock: tells the time in UTC.
        workflow: its name.
        version: by its name, in the files or else in the ledger, by the beginning of its hash, or itself.
        by: who promotes it.
        why: why.
        declared: what the workflow's files declare now.
        scores: what it was promoted on, as `Scores.view` has it.

    Raises:
        InputError: there is no such version, which says those there are; or nobody says who promotes it, and why.
    """
    if not by.strip() or not why.strip():
        raise InputError("A promotion is kept with who made it and why: say both.")
    with ledger.transaction() as connection:
        prompt = find_version(connection, workflow, version) if isinstance(version, str) else version
        connection.execute(sql("lock_prompts"), {"workflow": workflow})
        last = connection.execute(sql("last_promotion"), {"workflow": workflow}).fetchone()
        same = (prompt.prompt_hash, declared.prompt_hash, by, why)
        names = ("prompt_hash", "declared_hash", "promoted_by", "why")
        if last is None or tuple(last[name] for name in names) != same:
            _insert(connection, clock(), workflow, prompt, declared, by, why, scores)
        return _history(connection, workflow)[0]


def history(ledger: Ledger, workflow: str) -> list[Promotion]:
    """Return the promotions of a workflow, the last one first."""
    with ledger.connect() as connection:
        return _history(connection, workflow)


def known_versions(ledger: Ledger, workflow: str, declared: PromptVersion) -> list[KnownVersion]:
    """Return the versions of a workflow's prompt: those that have files, then what the ledger has beside, latest first.

    Raises:
        InputError: a file cannot be used.
    """
    with ledger.connect() as connection:
        last = connection.execute(sql("last_promotion"), {"workflow": workflow}).fetchone()
        rows = _rows(connection, workflow)
    active = _active(last, declared).prompt_hash
    seen = {row["prompt_hash"]: row["first_seen_at"] for row in rows}
    files = {prompt.prompt_hash: prompt.version for prompt in _files(workflow)}
    others = {row["prompt_hash"]: row["version"] for row in rows if row["prompt_hash"] not in files}
    return [
        KnownVersion(name, prompt_hash, prompt_hash in files, seen.get(prompt_hash), prompt_hash == active)
        for prompt_hash, name in {**files, **others}.items()
    ]


def find_version(connection: Connection, workflow: str, version: str) -> PromptVersion:
    """Return a version by its name, in the files or else, the latest of it, in the ledger; or by how its hash begins.

    Raises:
        InputError: there is none, or several hashes begin so.
    """
    if version in prompt_versions(workflow):
        return load_prompt(workflow, version)
    known = [*_files(workflow), *(prompt_of_row(row) for row in _rows(connection, workflow))]
    named = [prompt for prompt in known if prompt.version == version]
    if named:
        return named[0]
    hashed = {prompt.prompt_hash: prompt for prompt in known if prompt.prompt_hash.startswith(version)}
    if len(hashed) == 1 and len(version) >= _SHORTEST_HASH:
        return next(iter(hashed.values()))
    raise InputError(
        f"The workflow {workflow} has no prompt version {version!r}. It has "
        f"{', '.join(dict.fromkeys(prompt.version for prompt in known)) or 'none'}; "
        f"`backcast prompts {workflow}` lists them with their hashes, of which the first {_SHORTEST_HASH} digits or "
        "more name one, too."
    )


def _holds(last: Row | None, declared: PromptVersion) -> bool:
    """Whether the last promotion stands: the files declare what they declared then."""
    return last is not None and bool(last["declared_hash"] == declared.prompt_hash)


def _active(last: Row | None, declared: PromptVersion) -> PromptVersion:
    if last is None or not _holds(last, declared) or last["prompt_hash"] == declared.prompt_hash:
        return declared
    return prompt_of_row(last)


def _insert(  # noqa: PLR0913, PLR0917  a row of the ledger
    connection: Connection,
    now: datetime,
    workflow: str,
    prompt: PromptVersion,
    declared: PromptVersion,
    by: str,
    why: str,
    scores: Mapping[str, Any] | None,
) -> None:
    insert_prompt(connection, workflow, prompt, now)
    values = {
        "workflow": workflow,
        "prompt_hash": prompt.prompt_hash,
        "declared_hash": declared.prompt_hash,
        "now": now,
        "by": by,
        "why": why,
        "scores": None if scores is None else json.dumps(scores),
    }
    connection.execute(sql("insert_promotion"), values)


def _history(connection: Connection, workflow: str) -> list[Promotion]:
    return [Promotion(**row) for row in connection.execute(sql("promotions"), {"workflow": workflow}).fetchall()]


def _rows(connection: Connection, workflow: str) -> list[Row]:
    return connection.execute(sql("versions_of_workflow"), {"workflow": workflow}).fetchall()


def _files(workflow: str) -> list[PromptVersion]:
    return [load_prompt(workflow, version) for version in prompt_versions(workflow)]
