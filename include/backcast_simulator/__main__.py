"""The command line: `python -m backcast_simulator`."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Literal, NoReturn

import click
import uvicorn

from backcast_simulator.answers import answerer_named
from backcast_simulator.app import build_app
from backcast_simulator.clock import RunningClock
from backcast_simulator.outcomes import Odds
from backcast_simulator.simulator import Settings, Simulator
from backcast_simulator.weather import WEATHERS

_SHARE = click.FloatRange(0, 1)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=8790, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--speed",
    default=240.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How many simulated seconds pass in a real one.",
)
@click.option("--seed", default=1, show_default=True, help="What chance is drawn from: the same seed, the same fates.")
@click.option(
    "--weather",
    default="calm",
    show_default=True,
    type=click.Choice(list(WEATHERS)),
    help="How long requests take: " + ", ".join(f"{name} {w.median_hours:g} h" for name, w in WEATHERS.items()) + ".",
)
@click.option("--errored-share", default=0.0, show_default=True, type=_SHARE, help="Share of requests that fail.")
@click.option("--expired-share", default=0.0, show_default=True, type=_SHARE, help="Share that never finishes.")
@click.option("--answers", default="analyst", show_default=True, type=click.Choice(["analyst", "echo"]))
@click.option("--api-key", "api_keys", multiple=True, help="Accept this key and no other; may be repeated.")
def main(  # noqa: PLR0913  one parameter for each option
    *,
    host: str,
    port: int,
    speed: float,
    seed: int,
    weather: str,
    errored_share: float,
    expired_share: float,
    answers: Literal["analyst", "echo"],
    api_keys: tuple[str, ...],
) -> None:
    """Run a Message Batches API on a local port. No model is asked and nothing is charged."""
    listener = _listen(host, port)
    odds = Odds(seed, WEATHERS[weather], errored_share, expired_share)
    simulator = Simulator(RunningClock(speed), answerer_named(answers), Settings(odds, frozenset(api_keys)))
    click.echo(
        f"Simulated Message Batches API on http://{host}:{port}: no model is asked. "
        f"Time runs {speed:g} times as fast, the weather is {weather}.",
        err=True,
    )
    config = uvicorn.Config(
        build_app(simulator), log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not _is_loopback(host):
        _refuse(f"--host {host} is not a loopback address; the simulator listens on 127.0.0.1, ::1 or localhost only.")
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        _refuse(f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port.")
    return listener


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
