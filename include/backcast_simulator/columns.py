"""The requests of a batch, kept by column: a few dozen bytes a request in memory, its parameters in blocks."""

from __future__ import annotations

import datetime as dt
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any, overload

import orjson

from backcast_simulator.caching import Prefix, prefixes_of
from backcast_simulator.catalogue import NOTHING_CACHED, CachedTokens
from backcast_simulator.chance import draw
from backcast_simulator.errors import Problem
from backcast_simulator.outcomes import Fate
from backcast_simulator.rules import parse_rules, view_of_rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast_simulator.rules import Rule
    from backcast_simulator.storage import Store, StoredColumns

NEVER = -1
_DIGEST_BYTES = 32
_BLOCK_REQUESTS = 256
_BLOCK_BYTES = 1 << 20
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Request:
    """One accepted request of a batch, its fate, and its parameters' and last user message's SHA-256, in hex."""

    custom_id: str
    params: dict[str, Any]
    fate: Fate
    params_sha256: str
    message_sha256: str
    cached: CachedTokens = NOTHING_CACHED


class Requests(Sequence[Request]):
    """The requests of one batch, in the order they were sent in.

    `latencies` are in microseconds, NEVER for those that never end.
    """

    def __init__(self, batch_id: str, store: Store) -> None:
        self.custom_ids: list[str] = []
        self.latencies = array("q")
        self.errors: dict[int, Problem] = {}
        self.scripts: dict[int, Rule] = {}
        self.cached: dict[int, CachedTokens] = {}
        self.cacheable: list[tuple[int, str, tuple[Prefix, ...]]] = []
        self._batch_id = batch_id
        self._store = store
        self._digests = bytearray()
        self._starts = array("q")
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._sorted: tuple[list[int], list[int]] | None = None

    def add(self, request: Request) -> None:
        """Add one more request; `close` when the last one is in."""
        body = orjson.dumps(request.params)
        if self._open_bytes + len(body) > _BLOCK_BYTES or len(self._open) == _BLOCK_REQUESTS:
            self.close()
        self._open.append(body)
        self._open_bytes += len(body)
        self._add_columns(request)

    def _add_columns(self, request: Request) -> None:
        index, fate = len(self.custom_ids), request.fate
        self.custom_ids.append(request.custom_id)
        self.latencies.append(NEVER if fate.latency is None else fate.latency // _MICROSECOND)
        if fate.error is not None:
            self.errors[index] = fate.error
        if fate.script is not None:
            self.scripts[index] = fate.script
        if fate.error is None and fate.latency is not None:
            prefixes = prefixes_of(request.params)
            if prefixes:
                self.cacheable.append((index, request.params["model"], prefixes))
        self._digests += bytes.fromhex(request.params_sha256) + bytes.fromhex(request.message_sha256)

    def close(self) -> None:
        """Write the requests that are in no block yet to one."""
        if not self._open:
            return
        self._store.put_block(self._batch_id, len(self._starts), b"\n".join(self._open))
        self._starts.append(len(self.custom_ids) - len(self._open))
        self._open, self._open_bytes = [], 0

    def __len__(self) -> int:
        return len(self.custom_ids)

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        block = bisect_right(self._starts, position) - 1
        return self._request(position, self._bodies(block)[position - self._starts[block]])

    def __iter__(self) -> Iterator[Request]:
        for block in range(len(self._starts)):
            yield from self._block(block)

    def _block(self, number: int) -> Iterator[Request]:
        start = self._starts[number]
        for offset, body in enumerate(self._bodies(number)):
            yield self._request(start + offset, body)

    def _bodies(self, block: int) -> list[bytes]:
        # Compact JSON has no line breaks.
        return self._store.block(self._batch_id, block).split(b"\n")

    def _request(self, position: int, body: bytes) -> Request:
        message = position * 2 * _DIGEST_BYTES + _DIGEST_BYTES
        return Request(
            self.custom_ids[position],
            orjson.loads(body),
            self.fate(position),
            bytes(self._digests[message - _DIGEST_BYTES : message]).hex(),
            bytes(self._digests[message : message + _DIGEST_BYTES]).hex(),
            self.cached.get(position, NOTHING_CACHED),
        )

    def message_digests(self) -> Iterator[str]:
        """The SHA-256, in hex, of each request's last user message."""
        for start in range(_DIGEST_BYTES, len(self._digests), 2 * _DIGEST_BYTES):
            yield bytes(self._digests[start : start + _DIGEST_BYTES]).hex()

    def fate(self, position: int) -> Fate:
        """The fate of the request at this position."""
        latency = self.latencies[position]
        duration = None if latency == NEVER else dt.timedelta(microseconds=latency)
        return Fate(duration, self.errors.get(position), self.scripts.get(position))

    def shuffled(self, seed: int) -> Iterator[list[Request]]:
        """All requests, block by block, in an order that is not theirs but always the same."""
        blocks = sorted(range(len(self._starts)), key=lambda block: draw(seed, "block", self._batch_id, block))
        for block in blocks:
            yield sorted(self._block(block), key=lambda request: draw(seed, "order", request.custom_id))

    def slowest(self) -> dt.timedelta | None:
        """The time until the last request ends; None when one of them never does."""
        if NEVER in self.latencies:
            return None
        return dt.timedelta(microseconds=max(self.latencies))

    def done_within(self, time: dt.timedelta) -> tuple[int, int]:
        """How many requests have succeeded and how many have failed within this time."""
        if self._sorted is None:
            timed = [(index, latency) for index, latency in enumerate(self.latencies) if latency != NEVER]
            good = sorted(latency for index, latency in timed if index not in self.errors)
            self._sorted = good, sorted(latency for index, latency in timed if index in self.errors)
        good, bad = self._sorted
        limit = time // _MICROSECOND
        return bisect_right(good, limit), bisect_right(bad, limit)

    def let_last_ones_expire(self, share: float, already: dt.timedelta) -> None:
        """Let this share of the requests never finish: the slowest ones, but none that was done in this time."""
        done = already // _MICROSECOND
        open_ones = [index for index, latency in enumerate(self.latencies) if latency > done]
        open_ones.sort(key=self.latencies.__getitem__, reverse=True)
        for index in open_ones[: round(share * len(self))]:
            self.latencies[index] = NEVER
        self._sorted = None

    def columns(self) -> StoredColumns:
        """All but the parameters, to be kept."""
        rules = list({id(rule): rule for rule in self.scripts.values()}.values())
        numbers = {id(rule): number for number, rule in enumerate(rules)}
        scripts = {
            "rules": [view_of_rule(rule) for rule in rules],
            "by_request": [(index, numbers[id(rule)]) for index, rule in self.scripts.items()],
            "cached": [(index, *astuple(cached)) for index, cached in self.cached.items()],
        }
        return {
            "custom_ids": "\n".join(self.custom_ids),
            "latencies": self.latencies.tobytes(),
            "digests": bytes(self._digests),
            "starts": self._starts.tobytes(),
            "errors": orjson.dumps([(index, asdict(problem)) for index, problem in self.errors.items()]),
            "scripts": orjson.dumps(scripts),
        }

    @classmethod
    def from_columns(cls, batch_id: str, store: Store, columns: StoredColumns) -> Requests:
        """The requests whose columns and blocks were kept."""
        requests = cls(batch_id, store)
        requests.custom_ids = columns["custom_ids"].split("\n")
        requests.latencies.frombytes(columns["latencies"])
        requests._digests += columns["digests"]
        requests._starts.frombytes(columns["starts"])
        requests.errors = {index: Problem(**problem) for index, problem in orjson.loads(columns["errors"])}
        scripts = orjson.loads(columns["scripts"])
        rules = parse_rules(scripts["rules"])
        requests.scripts = {index: rules[number] for index, number in scripts["by_request"]}
        requests.cached = {index: CachedTokens(*tokens) for index, *tokens in scripts.get("cached", [])}
        return requests
