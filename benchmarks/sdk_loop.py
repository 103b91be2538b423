"""The baseline: the SDK alone, in a loop that writes only a file. It is not crash-safe, and answers what comes back."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import anthropic

_LARGEST_BATCH = 100_000


def main(requests: Path, output: Path) -> None:
    client = anthropic.Anthropic()
    with requests.open() as file:
        wanted = [json.loads(line) for line in file]
    with output.open("w") as answers:
        for start in range(0, len(wanted), _LARGEST_BATCH):
            batch = client.messages.batches.create(requests=wanted[start : start + _LARGEST_BATCH])
            while batch.processing_status != "ended":
                time.sleep(1)
                batch = client.messages.batches.retrieve(batch.id)
            for row in client.messages.batches.results(batch.id):
                answers.write(json.dumps(row.to_dict()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
