"""Compares `backcast run` with the SDK in a plain loop: processor time in user mode, and memory, at the same requests.

Both talk to a simulator over HTTP, one after the other; the ledger is a PostgreSQL that the benchmark starts. Machines
are noisy, so only the ratio of the two says something.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx2

from backcast.local.own_ledger import own_ledger
from backcast.local.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_REQUEST_BYTES = 1024
_ANSWER_BYTES = 512
_MODEL = "claude-haiku-4-5"


@dataclass(frozen=True, slots=True)
class Measured:
    """Processor time in user mode, in seconds, elapsed seconds, and the most memory of a process, in MB."""

    user_seconds: float
    seconds: float
    megabytes: float


def measure(command: list[str], environment: dict[str, str]) -> Measured:
    started = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return Measured(usage.ru_utime, time.monotonic() - started, usage.ru_maxrss / 1024)


def write_requests(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            message = {"role": "user", "content": ""}
            line = {"custom_id": f"r-{number}", "params": {"model": _MODEL, "max_tokens": 1024, "messages": [message]}}
            message["content"] = f"{number} ".ljust(_REQUEST_BYTES - len(json.dumps(line)), "x")
            file.write(json.dumps(line) + "\n")


def simulator(folder: Path, text: str = "y" * _ANSWER_BYTES) -> tuple[subprocess.Popen[bytes], str]:
    port = free_ports(1)[0]
    rules = folder / "rules.json"
    rules.write_text(json.dumps([{"outcome": "answer", "text": text}]))
    command = [sys.executable, "-m", "backcast_simulator", "--port", str(port), "--speed", "100000"]
    process = subprocess.Popen([*command, "--script", str(rules)], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            httpx2.get(f"{url}/simulator/health").raise_for_status()
        except httpx2.HTTPError:
            time.sleep(0.1)
        else:
            return process, url


def compare(count: int, folder: Path, dsn: str) -> tuple[Measured, Measured]:
    requests = folder / f"{count}.jsonl"
    write_requests(requests, count)
    process, url = simulator(folder)
    environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-ant-bench", "ANTHROPIC_BASE_URL": url, "BACKCAST_LEDGER": dsn}
    try:
        loop = [sys.executable, str(_HERE / "sdk_loop.py"), str(requests), str(folder / f"{count}.loop")]
        ours = [sys.executable, "-c", "from backcast.cli import main; main()", "run", str(requests)]
        return measure(loop, environment), measure([*ours, "-o", str(folder / f"{count}.answers")], environment)
    finally:
        process.terminate()
        process.wait()


def lines(counts: tuple[int, ...]) -> Iterator[str]:
    yield f"{'requests':>9} {'':<13} {'user s':>7} {'elapsed s':>10} {'most MB':>8}  user, as a share of the loop"
    with tempfile.TemporaryDirectory() as name:
        os.environ["BACKCAST_HOME"] = name
        with own_ledger(None) as ledger:
            for count in counts:
                loop, ours = compare(count, Path(name), ledger.dsn)
                for what, told in (("SDK loop", loop), ("backcast run", ours)):
                    share = f"{told.user_seconds / loop.user_seconds:.2f}"
                    yield (
                        f"{count:>9,} {what:<13} {told.user_seconds:>7.1f} {told.seconds:>10.1f} "
                        f"{told.megabytes:>8.0f}  {share}"
                    )


@click.command()
@click.option("--requests", "counts", multiple=True, type=int, default=(10_000, 100_000), show_default=True)
def main(counts: tuple[int, ...]) -> None:
    """Compare `backcast run` with a plain loop over the SDK, at so many requests of 1 KB with answers of 0.5 KB."""
    for line in lines(counts):
        click.echo(line)


if __name__ == "__main__":
    main()
