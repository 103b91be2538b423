"""The options of the command line, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from backcast_simulator.limits import LIMITS
from backcast_simulator.python_tests import FAULTY_SHARE
from backcast_simulator.settings import READINGS, SpendLimitKind, Tier
from backcast_simulator.weather import WEATHERS

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARE = click.FloatRange(0, 1)


@dataclass(frozen=True, slots=True)
class Knobs:
    """What the command line was given."""

    host: str
    port: int
    beyond_loopback: bool
    clock: Literal["fast", "real", "stepped"]
    speed: float
    weather: str
    seed: int
    errored_share: float
    expired_share: float
    cache_hit_share: float
    script: Path | None
    needs_example: str | None
    faulty_tests: float
    answers: Literal["analyst", "echo"]
    api_keys: tuple[str, ...]
    tier: Tier | Literal["off"]
    messages_per_minute: int | None
    spend_limit: float | None
    spend_limit_kind: SpendLimitKind
    readings: tuple[str, ...]
    state: Path | None


def _names(group: dict[str, list[click.Option]]) -> dict[str, str]:
    return {str(option.name): title for title, options in group.items() for option in options}


_GROUPS: dict[str, list[click.Option]] = {
    "Where it listens": [
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="Loopback address to listen on."),
        click.Option(
            ["--beyond-loopback"],
            is_flag=True,
            help="Let --host be any address. For a network of containers: whoever reaches it can steer it.",
        ),
        click.Option(
            ["--port"], default=8790, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
        ),
        click.Option(
            ["--api-key", "api_keys"],
            multiple=True,
            metavar="KEY[=WORKSPACE]",
            help="Accept this key and no other; may be repeated. A batch is visible in its own workspace only.",
        ),
    ],
    "Time": [
        click.Option(
            ["--clock"],
            default="fast",
            show_default=True,
            type=click.Choice(["fast", "real", "stepped"]),
            help="fast: by --speed. stepped: time stands still until POST /simulator/clock moves it.",
        ),
        click.Option(
            ["--speed"],
            default=240.0,
            show_default=True,
            type=click.FloatRange(min=0, min_open=True),
            help="How many simulated seconds pass in a real one: at 1440 a day takes a minute.",
        ),
        click.Option(
            ["--weather"],
            default="calm",
            show_default=True,
            metavar="NAME|FILE",
            help=f"How long requests take: {', '.join(WEATHERS)}; or a YAML or JSON file with median_hours, sigma, "
            "batch_sigma, never_share or quantiles.",
        ),
    ],
    "Outcomes": [
        click.Option(
            ["--answers"],
            default="analyst",
            show_default=True,
            type=click.Choice(["analyst", "echo"]),
            help="analyst: static analysis of the document in the prompt. echo: the beginning of the prompt.",
        ),
        click.Option(
            ["--errored-share"], default=0.0, show_default=True, type=_SHARE, help="Share of requests that fail."
        ),
        click.Option(
            ["--expired-share"], default=0.0, show_default=True, type=_SHARE, help="Share of requests that expire."
        ),
        click.Option(
            ["--cache-hit-share"],
            default=0.7,
            show_default=True,
            type=_SHARE,
            help="Share of a batch's requests that find their prompt in the cache when it is there.",
        ),
        click.Option(
            ["--script"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Rules for answers and failures, in YAML or JSON; GET /simulator/rules/schema says how to write them.",
        ),
        click.Option(
            ["--needs-example"],
            metavar="LANGUAGE,...|all",
            help="Answer documents of these languages malformed, unless the request shows a document of the same "
            "language before: in its system prompt or in an earlier message.",
        ),
        click.Option(
            ["--faulty-tests"],
            default=FAULTY_SHARE,
            show_default=True,
            type=_SHARE,
            help="Where tests are asked for: share of answers that are faulty until they are told what is wrong.",
        ),
        click.Option(
            ["--seed"], default=1, show_default=True, help="What chance is drawn from: the same seed, the same fates."
        ),
    ],
    "Limits": [
        click.Option(
            ["--tier"],
            default="scale",
            show_default=True,
            type=click.Choice([*LIMITS, "off"]),
            help="; ".join(
                f"{name}: {limits.calls_a_minute} calls a simulated minute, {limits.queued_requests} requests queued"
                for name, limits in LIMITS.items()
            ),
        ),
        click.Option(
            ["--messages-per-minute"],
            type=click.IntRange(min=1),
            metavar="N",
            help="Refuse more synchronous messages than this in a simulated minute, with a 429 that says when to come.",
        ),
        click.Option(
            ["--spend-limit"],
            type=click.FloatRange(min=0),
            metavar="USD",
            help="Refuse what costs money once the bill has come up to this.",
        ),
        click.Option(
            ["--spend-limit-kind"],
            default="customer",
            show_default=True,
            type=click.Choice(["tier", "customer"]),
            help="tier: a 429 without retry-after. customer: a 400.",
        ),
    ],
    "What no source settles": [
        click.Option(
            ["--reading", "readings"],
            multiple=True,
            metavar="NAME=VALUE",
            help="How to behave there; may be repeated. "
            + "; ".join(f"{name}: {' or '.join(values)}" for name, values in READINGS.items())
            + ". The first is the default.",
        ),
    ],
    "State": [
        click.Option(
            ["--state"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="Keep batches, attempts, the bill, the rules and the clock in this file, and go on from it.",
        ),
    ],
}
_EPILOG = (
    "While it runs: GET /simulator/health, bill, log, rules, faults, settings, clock; POST /simulator/rules, faults, "
    "settings, clock {advance_seconds}, strangers {requests, count}."
)


class _GroupedCommand(click.Command):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group of options under its title."""
        titles = _names(_GROUPS)
        for title in [*_GROUPS, "Help"]:
            records = [
                record
                for option in self.get_params(ctx)
                if titles.get(str(option.name), "Help") == title
                if (record := option.get_help_record(ctx)) is not None
            ]
            with formatter.section(title):
                formatter.write_dl(records)


def knobs(run: Callable[[Knobs], None]) -> click.Command:
    """The command that runs this function with the options it was given."""

    def call(**options: Any) -> None:  # noqa: ANN401  click's own
        run(Knobs(**options))

    params: list[click.Parameter] = [option for options in _GROUPS.values() for option in options]
    return _GroupedCommand("backcast-simulator", callback=call, params=params, help=run.__doc__, epilog=_EPILOG)
