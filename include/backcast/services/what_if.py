"""Answers whoever wants everything on one API, from the ledger's own history where there is any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.capacity import Rate, Work
from backcast.domain.errors import InputError
from backcast.domain.pricing import BATCH_SHARE
from backcast.domain.routing import Api
from backcast.domain.schedule import due_times
from backcast.domain.sla import DAY
from backcast.domain.what_if import MONTH, Answer, BatchTime, Choice, Figure, Load, Money, what_if
from backcast.ledger.connection import sql
from backcast.services.planning import DEFAULTS, plan_ahead, usual_cost
from backcast.services.routing import route_of
from backcast.settings import declared_facts, resolve, workflow_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backcast.domain.audit import CheckTerms
    from backcast.domain.routing import Declared
    from backcast.ledger.connection import Ledger, Row

ASSUMED_RUNS: Final = 200
# The API's documentation says so, and promises nothing.
_MOST_BATCHES_TAKE: Final = timedelta(hours=1)
# A conversation in which tools run: each turn is a request, which sends the turns before it, too.
_CONVERSATION: Final = {"requests": 10, "input_tokens": 12_000}
# Whole weeks, so that weekdays are counted as often as they come.
_COUNTED: Final = timedelta(weeks=12)
_ANY_MONDAY: Final = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _History:
    """What the ledger knows of the last month: rows by workflow, and how long its batches took."""

    spent: Mapping[str, Row]
    batch: BatchTime


def ask(choice: Choice, ledger: Ledger | None, now: datetime, runs_a_month: Mapping[str, int]) -> Answer:
    """Say what would become of every workflow.

    Args:
        choice: where all of them would go.
        ledger: whose last 30 days are reckoned with; without one, and where it knows nothing, there are estimates.
        now: the time in UTC.
        runs_a_month: by workflow, how many runs 30 days are to have.

    Raises:
        InputError: a workflow cannot be used, or one that is named is not there.
        LedgerError: the ledger cannot be read.
    """
    names = workflow_names()
    unknown = sorted({*runs_a_month} - {*names})
    if unknown:
        raise InputError(f"There is no workflow {unknown[0]!r}. There are {', '.join(names) or 'none'}.")
    history = _history(ledger, now - MONTH) if ledger else _History({}, _batch_time(None))
    loads = [_load(name, history.spent.get(name), runs_a_month.get(name)) for name in names]
    return what_if(choice, loads, history.batch)


def _history(ledger: Ledger, since: datetime) -> _History:
    with ledger.connect() as connection:
        spent = connection.execute(sql("spend_by_workflow"), {"since": since}).fetchall()
        times = connection.execute(sql("batch_times"), {"since": since}).fetchone()
    return _History({row["workflow"]: row for row in spent if row["answers"]}, _batch_time(times))


def _batch_time(row: Row | None) -> BatchTime:
    if row and row["batches"]:
        return BatchTime(row["usual"], f"the median of {row['batches']:,} batches in {MONTH.days} days", DAY)
    return BatchTime(_MOST_BATCHES_TAKE, "the API's documentation: most batches finish within an hour", DAY)


def _load(name: str, spent: Row | None, told_runs: int | None) -> Load:
    declared, route = declared_facts(name), route_of(name)
    values = _values(name)
    runs = _runs(name, declared, spent, told_runs)
    if spent:
        money = _money_spent(spent, runs)
        work = Work(-(-spent["answers"] // spent["runs"]), -(-int(spent["tokens"]) // spent["runs"]))
    else:
        money = _money_estimated(values, route.api, _reports(declared, runs), declared.check)
        work = Work(values["requests"], values["requests"] * (values["input_tokens"] + values["output_tokens"]))
    return Load(
        workflow=name,
        declared=declared,
        route=route,
        runs=runs,
        money=money,
        work=work,
        rate=Rate(values["requests_per_minute"], values["tokens_per_minute"]),
        called=spent["called"] if spent else 0,
    )


def _values(name: str) -> dict[str, Any]:
    found = resolve(name, {})
    known = {
        "model": found["model"].value,
        "requests_per_minute": found["rescue.requests_per_minute"].value,
        "tokens_per_minute": found["rescue.tokens_per_minute"].value,
        # A diff is asked about in one request.
        "requests": 1 if found["source.kind"].value == "diff" else None,
        **(_CONVERSATION if found["client_tools"].value else {}),
    }
    return {**DEFAULTS, **{key: value for key, value in known.items() if value is not None}}


def _runs(name: str, declared: Declared, spent: Row | None, told_runs: int | None) -> Figure:
    if told_runs is not None:
        return Figure(Decimal(told_runs), "as told by --runs-a-month")
    moments = _starts(name, declared)
    if moments is not None:
        return Figure(_a_month(moments), "by its schedule")
    if spent:
        return Figure(Decimal(spent["runs"]), f"those of the last {MONTH.days} days in the ledger")
    return Figure(Decimal(ASSUMED_RUNS), f"ASSUMED; say how many with --runs-a-month {name}=N")


def _starts(name: str, declared: Declared) -> Iterator[datetime] | None:
    """Return the moments at which a workflow starts by itself, in order; None when it does not."""
    if declared.due is None and declared.every is None:
        return None
    if not declared.blocking and not declared.client_tools:
        return (slot.at for slot in plan_ahead(name, {}, _ANY_MONDAY).plan.schedule.slots(_ANY_MONDAY))
    if declared.due is not None:
        return due_times(declared.due, _ANY_MONDAY)
    return None


def _reports(declared: Declared, runs: Figure) -> Figure:
    """Return how often everything is asked about: later slots of one due time ask for nothing twice."""
    if declared.due is None or runs.basis != "by its schedule":
        return Figure(runs.value, "runs")
    return Figure(_a_month(due_times(declared.due, _ANY_MONDAY)), "reports")


def _a_month(moments: Iterator[datetime]) -> Decimal:
    counted = sum(1 for _ in takewhile(lambda moment: moment < _ANY_MONDAY + _COUNTED, moments))
    return counted * Decimal(MONTH.days) / Decimal(_COUNTED.days)


def _money_spent(spent: Row, runs: Figure) -> Money:
    share, checks = runs.value / spent["runs"], spent["checks_usd"]
    return Money(
        now_usd=(spent["cost_usd"] + checks) * share,
        batch_usd=(spent["synchronous_usd"] * BATCH_SHARE + checks) * share,
        synchronous_usd=(spent["synchronous_usd"] + checks) * share,
        basis=f"{spent['runs']:,} runs of the last {MONTH.days} days in the ledger, "
        f"US$ {(spent['cost_usd'] + checks) / spent['runs']:,.4f} each",
    )


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number:,} requests"


def _money_estimated(values: Mapping[str, Any], api: Api, reports: Figure, check: CheckTerms | None) -> Money:
    cost = usual_cost(values)
    batch, synchronous = cost.least_usd * reports.value, cost.most_usd * reports.value
    return Money(
        now_usd=synchronous if api is Api.SYNCHRONOUS else batch,
        batch_usd=batch,
        synchronous_usd=synchronous,
        basis=f"ESTIMATE, not history: {reports.value:,.1f} {reports.basis}, each of {_requests(values['requests'])} "
        f"with {values['input_tokens']:,} tokens and {values['output_tokens']:,} in the answer, by {values['model']}"
        + (f"; without checks, of at most US$ {check.max_usd:.2f} each" if check else ""),
    )
