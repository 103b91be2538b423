"""What would become of every workflow if all of them went one way: what breaks, what it costs, and what is saved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from backcast.domain.capacity import Rate, Work, drain
from backcast.domain.durations import told
from backcast.domain.routing import Api, Declared, Route

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is called a month here, so that every month is as long as any other.
MONTH: Final = timedelta(days=30)
_HOUR: Final = timedelta(hours=1)
_CENTS: Final = Decimal("0.0001")


class Choice(StrEnum):
    """Where all workflows would go."""

    ALL_BATCH = "all-batch"
    ALL_SYNC = "all-sync"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number or an amount, and in words where it comes from."""

    value: Decimal
    basis: str


@dataclass(frozen=True, slots=True)
class BatchTime:
    """How long a batch takes as a rule, where that is known from, and how long it may take."""

    usual: timedelta
    basis: str
    worst: timedelta


@dataclass(frozen=True, slots=True)
class Money:
    """What a workflow costs in a month in US$: as it runs now, all of it as batches, and all of it synchronously."""

    now_usd: Decimal
    batch_usd: Decimal
    synchronous_usd: Decimal
    basis: str


@dataclass(frozen=True, slots=True)
class Load:
    """A workflow in a month.

    Attributes:
        workflow: its name.
        declared: what it says of itself.
        route: where it goes now.
        runs: how many there are.
        money: what they cost.
        work: what one run asks.
        rate: what may be asked synchronously.
        called: how many answers of batch runs came synchronously, as the ledger knows.
    """

    workflow: str
    declared: Declared
    route: Route
    runs: Figure
    money: Money
    work: Work
    rate: Rate
    called: int = 0


@dataclass(frozen=True, slots=True)
class Consequence:
    """What would become of a workflow; `breaks` are sentences, none when it would go on as well as now.

    Where people would wait, `usual_hours` and `worst_hours` are those of a month, all of them together.
    """

    load: Load
    then: Api
    then_usd: Decimal
    breaks: tuple[str, ...]
    usual_hours: Decimal | None = None
    worst_hours: Decimal | None = None

    @property
    def saved_usd(self) -> Decimal:
        """How much less it would cost in a month; negative when it would cost more."""
        return self.load.money.now_usd - self.then_usd


@dataclass(frozen=True, slots=True)
class Answer:
    """What a choice comes to, in a month and in US$."""

    choice: Choice
    batch: BatchTime
    consequences: tuple[Consequence, ...]

    @property
    def now_usd(self) -> Decimal:
        """What everything costs now."""
        return _sum(each.load.money.now_usd for each in self.consequences)

    @property
    def then_usd(self) -> Decimal:
        """What everything would cost."""
        return _sum(each.then_usd for each in self.consequences)

    @property
    def synchronous_usd(self) -> Decimal:
        """What everything would cost synchronously."""
        return _sum(each.load.money.synchronous_usd for each in self.consequences)

    @property
    def saved_already_usd(self) -> Decimal:
        """What batches save now, against everything synchronously."""
        return self.synchronous_usd - self.now_usd

    @property
    def saved_usd(self) -> Decimal:
        """How much less everything would cost than now; negative when it would cost more."""
        return self.now_usd - self.then_usd

    @property
    def saved_unbroken_usd(self) -> Decimal:
        """Of that, what would be saved by workflows that do not break."""
        return _sum(max(each.saved_usd, Decimal(0)) for each in self.consequences if not each.breaks)

    @property
    def broken(self) -> list[Consequence]:
        """Those that would break."""
        return [each for each in self.consequences if each.breaks]


def what_if(choice: Choice, loads: list[Load], batch: BatchTime) -> Answer:
    """Say what would become of these workflows."""
    follow = _as_batch if choice is Choice.ALL_BATCH else _synchronously
    return Answer(choice, batch, tuple(follow(load, batch) for load in loads))


def _as_batch(load: Load, batch: BatchTime) -> Consequence:
    waits = load.declared.blocking
    return Consequence(
        load,
        Api.BATCH,
        load.money.batch_usd,
        tuple(_lost_to_batches(load, batch)),
        _rounded(load.runs.value * _hours(batch.usual)) if waits else None,
        _rounded(load.runs.value * _hours(batch.worst)) if waits else None,
    )


def _lost_to_batches(load: Load, batch: BatchTime) -> Iterator[str]:
    declared, sla = load.declared, told(load.declared.sla)
    if declared.blocking:
        usual, worst = (_rounded(load.runs.value * _hours(length)) for length in (batch.usual, batch.worst))
        yield (
            f"Somebody would wait {told(batch.usual)} as a rule and {told(batch.worst)} at worst, in place of at most "
            f"{sla}: {usual:,} to {worst:,} hours of waiting a month."
        )
    if declared.client_tools:
        yield (
            f"Every answer would end at its first call of {', '.join(declared.client_tools)}, which nobody runs inside "
            f"a batch: each further turn would be another batch, of up to {told(batch.worst)}."
        )
    for step in load.route.steps:
        yield (
            f"Its step {step.name} would be lost, which is synchronous now: a batch has no turn for its tools, and "
            "what it checks now would be reported unchecked."
        )
    if declared.sla < declared.terms.minimum_sla:
        yield f"Its SLA of {sla} would be lost whenever a batch takes longer: one may take {told(batch.worst)}."
    elif load.route.api is not Api.SYNCHRONOUS and load.called:
        yield (
            f"{load.called:,} answers of the last {MONTH.days} days came synchronously, since they proved its prompt "
            "or kept its deadline: they would be late, or missing."
        )


def _synchronously(load: Load, _: BatchTime) -> Consequence:
    return Consequence(load, Api.SYNCHRONOUS, load.money.synchronous_usd, tuple(_lost_to_calls(load)))


def _lost_to_calls(load: Load) -> Iterator[str]:
    terms = load.declared.terms
    takes = drain(load.work, load.rate) + terms.overhead + terms.margin
    if load.route.api is not Api.SYNCHRONOUS and takes > terms.sla:
        yield (
            f"Its SLA of {told(terms.sla)} would be lost: {load.work.requests:,} requests take {told(takes)} at "
            f"{load.rate.requests_per_minute:,.0f} requests and {load.rate.tokens_per_minute:,.0f} tokens a minute."
        )


def usd(amount: Decimal) -> Decimal:
    """Return an amount to a hundredth of a cent: what comes of an average has no more that means anything."""
    return amount.quantize(_CENTS)


def _sum(amounts: Iterator[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _hours(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(seconds=1)) / Decimal(_HOUR // timedelta(seconds=1))


def _rounded(hours: Decimal) -> Decimal:
    return hours.quantize(Decimal(1))
