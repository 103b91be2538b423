"""Compares `backcast review` with plain SDK calls: seconds after the imports, for a diff of 500 lines in ten files.

Both ask a simulator that answers at once. Machines are noisy, so the median of several runs is taken, in turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from run_requests import simulator

_HERE = Path(__file__).parent
_FILES = 10


def repository(folder: Path, lines: int) -> Path:
    """Make a repository whose branch `feature` changes so many lines of ten files."""
    folder.mkdir()
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"]

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)  # noqa: S607  as in a shell

    git("init", "-q", "-b", "main")
    for side in ("old", "new"):
        for number in range(_FILES):
            body = "".join(
                f"def function_{line}(value):\n    return value + {line} if value else {side!r}\n\n\n"
                for line in range(lines // _FILES)
            )
            (folder / f"module_{number}.py").write_text(body)
        git("add", "-A")
        git("commit", "-q", "-m", side)
        if side == "old":
            git("checkout", "-q", "-b", "feature")
    return folder


def seconds(script: str, folder: Path, environment: dict[str, str]) -> float:
    command = [sys.executable, str(_HERE / script), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1])


@click.command()
@click.option("--lines", default=500, show_default=True, help="Changed lines.")
@click.option("--times", default=5, show_default=True, help="How often each is measured.")
def main(lines: int, times: int) -> None:
    """Compare `backcast review` with plain SDK calls for one diff."""
    with tempfile.TemporaryDirectory() as name:
        folder = repository(Path(name) / "repository", lines)
        process, url = simulator(Path(name), text='{"findings": []}')
        environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-ant-bench", "ANTHROPIC_BASE_URL": url}
        environment.pop("BACKCAST_LEDGER", None)
        try:
            pairs = [
                (seconds("sdk_review.py", folder, environment), seconds("own_review.py", folder, environment))
                for _ in range(times)
            ]
        finally:
            process.terminate()
            process.wait()
    plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    click.echo(f"a diff of {lines} lines in {_FILES} files, median of {times}, seconds after the imports")
    click.echo(f"{'plain SDK calls':<16} {plain:>6.3f}")
    click.echo(f"{'backcast review':<16} {ours:>6.3f}  {ours / plain:.2f} of the plain calls, {ours - plain:+.3f} s")


if __name__ == "__main__":
    main()
