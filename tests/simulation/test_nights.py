"""Nights made by a seed: nothing is paid twice and nothing is lost, whatever dies and whatever fails."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from tests.simulation.tables import empty
from tests.simulation.world import World
from tests.support import commit, git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backcast.ledger.connection import Ledger

SEEDS = int(os.environ.get("SEEDS", "300"))
FIRST = int(os.environ.get("FIRST_SEED", "1"))
GROUPS = 10


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small repositories of different sizes, some of whose files are the same."""
    made = []
    for size in (1, 2, 3, 5, 8, 13):
        folder = tmp_path_factory.mktemp(f"repository{size}")
        for number in range(size):
            (folder / f"module{number}.py").write_text(f"VALUE = {number}\n\n\ndef run(x):\n    return x + {number}\n")
        git(folder, "init", "-q")
        commit(folder, "first")
        made.append(folder)
    return made


@pytest.fixture
def world_of(
    ledger: Ledger, repositories: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[object]:
    def make(seed: int) -> World:
        with ledger.connect() as connection:
            empty(connection)
        chance = random.Random(f"names of {seed}")
        # Names drawn by chance decide fates too, so a seed must decide them.
        monkeypatch.setattr("secrets.token_hex", lambda size=16: chance.randbytes(size).hex())
        return World(seed, ledger, repositories, tmp_path)

    return make


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_paid_twice_and_nothing_is_lost(group: int, world_of: object) -> None:
    for seed in range(FIRST + group, FIRST + SEEDS, GROUPS):
        world: World = world_of(seed)  # type: ignore[operator]
        try:
            world.live()
        except Exception as error:
            raise AssertionError(
                f"{world.tell()}\n\nSeed {seed}: {error!r}. Replay it: make simulate SEEDS=1 FIRST_SEED={seed}"
            ) from error
        finally:
            world.close()
