"""Lets the model propose a workflow's next prompt version from the failures of one, and keeps what it proposes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in
from backcast.ledger.runs import find_run, insert_prompt, insert_run, load_run, lock_run
from backcast.services.acceptance import parse_answer, validator_of
from backcast.services.claims import claim
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.proposal_checks import checked
from backcast.services.proposal_request import SCHEMA, chosen, proposal_params
from backcast.services.publish import require_answers, settle
from backcast.services.request_runs import OWN_PROMPT, WORKFLOW
from backcast.services.rescue import rescue
from backcast.services.rounds import FIRST_ROUND
from backcast.settings import load_prompt, prompt_versions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from decimal import Decimal

    from jsonschema import Draft202012Validator

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.workflow import PromptVersion, RunSettings
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock
    from backcast.services.proposal_request import Failure

_MAX_TOKENS: Final = 8192
_NUMBERED: Final = re.compile(r"v(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was proposed.

    Attributes:
        run_id: the ledger's run that asked for it.
        prompt: the next version, kept in the ledger; None when it cannot be used.
        why: what the model says about it.
        notes: what was left out of it, or why it cannot be used, a sentence each.
        cost_usd: what asking cost.
    """

    run_id: int
    prompt: PromptVersion | None
    why: str
    notes: tuple[str, ...]
    cost_usd: Decimal


def propose(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    failures: Sequence[Failure],
    *,
    languages: Collection[str],
    external_key: str,
    pause: Pause = asyncio.sleep,
) -> Proposal:
    """Ask the model once for the version that follows the one of the settings, and keep it in the ledger.

    It is a run of one request that is answered synchronously: killed at any moment and called again, it goes on with
    it, and pays for nothing that was stored. Its money counts for the workflow's budget of the month.

    Args:
        ledger: where it is kept.
        api: which is asked.
        clock: tells the time in UTC.
        settings: of the workflow, with the version that the failures are of.
        failures: what it failed on.
        languages: of which there may be examples.
        external_key: names this proposal; the same key is asked about once.
        pause: waits for so many seconds.

    Raises:
        RefusedError: the key has no access, or there is no money.
    """
    run_id = _opened(ledger, api, clock, settings, failures, external_key)
    rescue(ledger, api, clock, run_id, final=True, pause=pause)
    answered = _finished(ledger, clock, run_id)
    if isinstance(answered.answer, str):
        return Proposal(run_id, None, "", (f"The model proposed nothing: {answered.answer}.",), answered.cost_usd)
    found = checked(answered.answer, settings.prompt, languages, structured=answered.structured)
    prompt = found.prompt and keep_version(ledger, clock, settings.workflow, found.prompt)
    return Proposal(run_id, prompt, found.why, found.notes, answered.cost_usd)


def keep_version(ledger: Ledger, clock: Clock, workflow: str, prompt: PromptVersion) -> PromptVersion:
    """Keep a version in the ledger under the next free name, v2 after v1; one that is known keeps its name."""
    names = prompt_versions(workflow)
    of_files = {load_prompt(workflow, name).prompt_hash: name for name in names}
    with ledger.transaction() as connection:
        # So that two refinements at once do not choose the same name.
        connection.execute(sql("lock_prompts"), {"workflow": workflow})
        rows = connection.execute(sql("versions_of_workflow"), {"workflow": workflow}).fetchall()
        kept = {row["prompt_hash"]: row["version"] for row in rows}
        known = of_files.get(prompt.prompt_hash) or kept.get(prompt.prompt_hash)
        named = replace(prompt, version=known or _next_name([*names, *kept.values()]))
        insert_prompt(connection, workflow, named, clock())
    return named


def _next_name(names: Iterable[str]) -> str:
    numbers = [int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))]
    return f"v{max(numbers, default=0) + 1}"


def _opened(  # noqa: PLR0913, PLR0917  as above
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    failures: Sequence[Failure],
    external_key: str,
) -> int:
    with ledger.connect() as connection:
        known = find_run(connection, external_key)
    if known is not None:
        return known
    preflight = api.preflight(settings.model.name)
    structured = settings.structured and preflight.structured_outputs
    max_tokens = min(_MAX_TOKENS, settings.model.max_output_tokens)
    params = orjson.dumps(
        proposal_params(
            settings.prompt,
            chosen(failures),
            model=settings.model.name,
            max_tokens=max_tokens,
            structured=structured,
        )
    )
    own = replace(
        settings,
        repository=f"proposal for {settings.prompt.version}",
        ref=external_key,
        prompt=OWN_PROMPT,
        max_tokens=max_tokens,
        structured=structured,
        kind="requests",
        deadline=None,
        dry_run=False,
    )
    with ledger.transaction() as connection:
        # It is no version of the workflow's prompt.
        insert_prompt(connection, WORKFLOW, OWN_PROMPT, clock())
        run_id = insert_run(
            connection,
            own,
            external_key=external_key,
            repository=own.repository,
            simulated=preflight.simulated,
            base_url=api.base_url,
            opened_at=clock(),
        )
        # Another task may have opened it meanwhile.
        if lock_run(connection, run_id) == "open":
            _collect(connection, clock, load_run(connection, run_id), params)
        reached(FaultPoint.COLLECT_BEFORE_COMMIT)
    reached(FaultPoint.COLLECT_COMMITTED)
    return run_id


def _collect(connection: Connection, clock: Clock, run: Row, params: bytes) -> None:
    """Store the one request of a run; it goes into no batch."""
    key = {"run_id": run["run_id"]}
    content = hashlib.sha256(params).hexdigest()
    answer_key = hashlib.sha256(f"{run['external_key']} {content}".encode()).hexdigest()
    size = len(params)
    connection.execute(sql("create_collected"))
    row = ("proposal", "request", size, content, answer_key, params.decode(), 0, size, run["model"], run["max_tokens"])
    copy_in(connection, "copy_requests", [row])
    connection.execute(sql("store_contents"))
    connection.execute(sql("store_documents"), key)
    claim(connection, run["run_id"], FIRST_ROUND)
    connection.execute(sql("make_synchronous"), key)
    connection.execute(
        sql("finish_collecting"), {**key, "commit_id": content, "committed_at": clock(), "estimated_usd": 0}
    )


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was answered, or why nothing was; and whether the model was held to a schema, so that documents' are too."""

    answer: Mapping[str, Any] | str
    structured: bool
    cost_usd: Decimal


def _finished(ledger: Ledger, clock: Clock, run_id: int) -> _Answered:
    """Settle the run, once, and return what became of it."""
    key = {"run_id": run_id}
    with ledger.transaction() as connection:
        if lock_run(connection, run_id) != "published":
            require_answers(connection, run_id)
            settle(connection, run_id)
            totals = connection.execute(sql("totals_of_run"), key).fetchone() or {}
            counts = {name: totals[name] for name in ("answered", "reused", "skipped", "unanswered")}
            connection.execute(
                sql("publish_run"), {**key, **counts, "published_at": clock(), "report_path": "in the ledger"}
            )
        run = load_run(connection, run_id)
        row = connection.execute(sql("request_results"), key).fetchone() or {}
        spend = connection.execute(sql("spend_of_run"), key).fetchone() or {}
    return _Answered(_answer_of(row), run["structured"], spend["cost_usd"])


def _answer_of(row: Row) -> Mapping[str, Any] | str:
    if row["outcome"] != "answered":
        return str(row["reason"])
    try:
        answer = parse_answer(orjson.loads(row["raw"])["message"], SCHEMA)
    except ValueError as error:
        return f"its answer is not JSON, {error}"
    # A model that cannot keep to a schema was not held to this one.
    wrong = next(_validator().iter_errors(answer), None)
    return answer if wrong is None else f"its answer does not fit, {wrong.json_path}: {wrong.message[:200]}"


@cache
def _validator() -> Draft202012Validator:
    return validator_of(SCHEMA)
