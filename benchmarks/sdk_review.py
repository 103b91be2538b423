"""The baseline: a plain SDK call for each file of a diff, one message each, streamed, and printed as it comes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import anthropic

_MODEL = "claude-sonnet-5-5"


def diffs(repository: str) -> list[str]:
    command = ["git", "-C", repository, "diff", "--merge-base", "main", "feature"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [f"diff --git {part}" for part in shown.split("diff --git ")[1:]]


async def ask(client: anthropic.AsyncAnthropic, diff: str) -> str:
    content = f"Review this diff.\n\n{diff}"
    messages = [{"role": "user", "content": content}]
    async with client.messages.stream(model=_MODEL, max_tokens=4096, messages=messages) as stream:
        return await stream.get_final_text()


async def review(repository: str) -> None:
    async with anthropic.AsyncAnthropic() as client:
        for answer in await asyncio.gather(*(ask(client, diff) for diff in diffs(repository))):
            print(answer)  # noqa: T201  what a script does


if __name__ == "__main__":
    started = time.perf_counter()
    asyncio.run(review(sys.argv[1]))
    print(f"{time.perf_counter() - started:.3f}", file=sys.stderr)  # noqa: T201  read by the benchmark
