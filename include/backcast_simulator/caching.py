"""The prompt cache: which part of a prompt is written to it, and which is read from it."""

from __future__ import annotations

import datetime as dt
import hashlib
from bisect import bisect_right, insort
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import orjson

from backcast_simulator.catalogue import NOTHING_CACHED, CachedTokens, Model
from backcast_simulator.parameters import cacheable_blocks
from backcast_simulator.prompts import block_characters, token_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Ttl = Literal["5m", "1h"]

_LIFETIMES = {"5m": dt.timedelta(minutes=5), "1h": dt.timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Prefix:
    """The part of a prompt that ends with a `cache_control`: its hash, its length in tokens and its lifetime."""

    digest: bytes
    tokens: int
    ttl: Ttl


def prefixes_of(params: dict[str, Any]) -> tuple[Prefix, ...]:
    """The cacheable prefixes of well-formed parameters, the shortest first; empty when none is asked for."""
    marked = _marked_blocks(params)
    last = max((index for index, (_, control) in enumerate(marked) if control), default=-1)
    return tuple(_prefixes(marked[: last + 1]))


def _marked_blocks(params: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    marked = [(block, block.get("cache_control")) for block in cacheable_blocks(params)]
    if params.get("cache_control") and marked:
        block, control = marked[-1]
        marked[-1] = (block, control or params["cache_control"])
    return marked


def _prefixes(marked: Iterable[tuple[dict[str, Any], dict[str, Any] | None]]) -> Iterator[Prefix]:
    digest = hashlib.blake2b(digest_size=16)
    characters = 0
    for block, control in marked:
        content = {name: value for name, value in block.items() if name != "cache_control"}
        digest.update(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
        characters += _characters(content)
        if control:
            yield Prefix(digest.digest(), token_count(characters), control.get("ttl", "5m"))


def _characters(block: dict[str, Any]) -> int:
    # As in `prompts.input_tokens`: of a tool all of it counts.
    if "type" in block and ("name" not in block or block["type"] == "tool_use"):
        return block_characters(block)
    return len(orjson.dumps(block))


class PromptCache:
    """When each prefix was used. Times may come in any order, so that a batch's are known when it is created."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str, bytes, Ttl], list[dt.datetime]] = {}

    def use(
        self, scope: str, model: Model, prefixes: Iterable[Prefix], moment: dt.datetime, *, lucky: bool = True
    ) -> CachedTokens:
        """What one request reads and writes at this time; it reads nothing when it is not lucky.

        Prefixes are shared within a scope only. Those that are too short for the model are passed over.
        """
        usable = [prefix for prefix in prefixes if prefix.tokens >= model.least_cacheable]
        found = [p for p in usable if lucky and self._is_warm((scope, model.id, p.digest, p.ttl), moment)]
        for prefix in usable:
            insort(self._uses.setdefault((scope, model.id, prefix.digest, prefix.ttl), []), moment)
        return _tokens(usable, found[-1].tokens if found else 0)

    def _is_warm(self, key: tuple[str, str, bytes, Ttl], moment: dt.datetime) -> bool:
        uses = self._uses.get(key, [])
        index = bisect_right(uses, moment)
        return index > 0 and moment - uses[index - 1] < _LIFETIMES[key[3]]


def _tokens(usable: Iterable[Prefix], read: int) -> CachedTokens:
    written = {"5m": 0, "1h": 0}
    end = read
    for prefix in usable:
        written[prefix.ttl] += max(0, prefix.tokens - end)
        end = max(end, prefix.tokens)
    return _shared(read, written["5m"], written["1h"]) if end else NOTHING_CACHED


@lru_cache(maxsize=1024)
def _shared(read: int, written_5m: int, written_1h: int) -> CachedTokens:
    # In a batch of 100,000 requests nearly all are the same.
    return CachedTokens(read, written_5m, written_1h)
