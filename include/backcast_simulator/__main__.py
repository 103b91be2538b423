"""The command line: `python -m backcast_simulator`."""

from __future__ import annotations

import ipaddress
import socket
import sqlite3
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import uvicorn

from backcast_simulator.answers import answerer_named
from backcast_simulator.app import build_app
from backcast_simulator.clock import Clock, RunningClock, SteppedClock, resumed_at
from backcast_simulator.errors import ApiError
from backcast_simulator.knobs import Knobs, knobs
from backcast_simulator.outcomes import Odds
from backcast_simulator.script_files import ScriptError, read_script
from backcast_simulator.settings import Readings, Settings, SpendLimit, change_readings, read_languages
from backcast_simulator.simulator import Simulator
from backcast_simulator.storage import Store
from backcast_simulator.weather import WeatherError, read_weather

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from backcast_simulator.rules import Rule


@knobs
def main(knobs: Knobs) -> None:
    """Run a Message Batches API on a local port. No model is asked and nothing is charged."""
    _require_loopback(knobs)
    listener = _listen(knobs.host, knobs.port)
    simulator = _simulator(knobs)
    if knobs.script is not None:
        simulator.set_rules(_script(knobs.script))
    click.echo(
        f"Simulated Message Batches API on http://{_in_url(knobs.host)}:{knobs.port}: no model is asked. "
        f"{_pace(knobs)}, the weather is {knobs.weather}.",
        err=True,
    )
    config = uvicorn.Config(
        build_app(simulator),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        lifespan="off",
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])
    simulator.close()


def _simulator(knobs: Knobs) -> Simulator:
    store = _store(knobs.state)
    kept = store.noted("clock")
    return Simulator(
        _clock(knobs, None if kept is None else resumed_at(kept)),
        answerer_named(knobs.answers, knobs.faulty_tests),
        _settings(knobs),
        store,
    )


def _script(path: Path) -> list[Rule]:
    try:
        return read_script(path)
    except ScriptError as error:
        _refuse(f"--script {error}")


def _store(path: Path | None) -> Store:
    try:
        return Store(path)
    except (sqlite3.Error, ValueError) as error:
        _refuse(
            f"--state {path} cannot be used ({error}); name a file of the simulator's own, or one that is not there."
        )


def _clock(knobs: Knobs, start: dt.datetime | None) -> Clock:
    if knobs.clock == "stepped":
        return SteppedClock(start)
    return RunningClock(1.0 if knobs.clock == "real" else knobs.speed, start)


def _pace(knobs: Knobs) -> str:
    paces = {"stepped": "Time stands still until it is moved", "real": "Time is real"}
    return paces.get(knobs.clock, f"Time runs {knobs.speed:g} times as fast")


def _settings(knobs: Knobs) -> Settings:
    try:
        weather = read_weather(knobs.weather)
        readings = _readings(knobs.readings)
    except WeatherError as error:
        _refuse(f"--weather: {error}")
    except ApiError as error:
        _refuse(f"--reading: {error}")
    named = [key.split("=", 1) for key in knobs.api_keys if "=" in key]
    return Settings(
        odds=Odds(knobs.seed, weather, knobs.errored_share, knobs.expired_share, knobs.cache_hit_share),
        api_keys=frozenset(key for key in knobs.api_keys if "=" not in key),
        workspaces={key: workspace for key, workspace in named},  # noqa: C416  the pairs are lists
        readings=readings,
        tier=None if knobs.tier == "off" else knobs.tier,
        messages_per_minute=knobs.messages_per_minute,
        spend_limit=None if knobs.spend_limit is None else SpendLimit(knobs.spend_limit, knobs.spend_limit_kind),
        needs_example=_languages(knobs.needs_example),
    )


def _languages(given: str | None) -> frozenset[str]:
    try:
        return read_languages([] if given is None else given.split(","))
    except ApiError:
        _refuse(
            f"--needs-example {given!r}: languages with a comma between them are expected, as documents name theirs, "
            "such as go,yaml; or all."
        )


def _readings(given: Iterable[str]) -> Readings:
    return change_readings(Readings(), dict(entry.partition("=")[::2] for entry in given))


def _require_loopback(knobs: Knobs) -> None:
    if not (knobs.beyond_loopback or _is_loopback(knobs.host)):
        _refuse(
            f"--host {knobs.host} is not a loopback address; the simulator listens on 127.0.0.1, ::1 or localhost, "
            "unless --beyond-loopback says that whoever reaches that address may steer it."
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        _refuse(f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port.")
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
