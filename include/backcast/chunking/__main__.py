"""The process of `split_apart`: reads what is to be split from standard input, and writes where."""

from __future__ import annotations

import resource
import sys

import orjson

from backcast.chunking.apart import MOST_BYTES, estimating, told
from backcast.chunking.splitting import split


def main() -> None:
    """Split what comes in, within bounded memory."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    asked = orjson.loads(sys.stdin.buffer.read())
    splitting = split(
        asked["text"],
        asked["language"],
        budget_tokens=asked["budget_tokens"],
        count_tokens=estimating(asked["wider"]),
        overlap_lines=asked["overlap_lines"],
    )
    sys.stdout.buffer.write(told(splitting))


main()
