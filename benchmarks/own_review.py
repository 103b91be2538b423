"""What `backcast review` does, timed after its imports."""

from __future__ import annotations

import sys
import time

import anthropic.resources.messages  # the SDK loads it at the first call
import jsonschema  # noqa: F401  as above
import rich.console  # noqa: F401  as above

import backcast.services.review  # noqa: F401  what is timed is what comes after the imports
from backcast.cli_pre_merge_review import review

if __name__ == "__main__":
    _ = anthropic.resources.messages
    started = time.perf_counter()
    # It raises SystemExit, by which the benchmark would see that something has no answer.
    review(["--repository", sys.argv[1], "--base", "main", "--head", "feature"], standalone_mode=False)
    print(f"{time.perf_counter() - started:.3f}", file=sys.stderr)  # noqa: T201  read by the benchmark
