"""How requests are packed into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

MAX_REQUESTS: Final = 100_000
# The API's limit is 256 MB for the body; what is estimated here is the document alone, so a wide margin is kept.
MAX_BYTES: Final = 160_000_000


def batch_sizes(
    sizes: Iterable[int],
    taken: AbstractSet[int] = frozenset(),
    *,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
    first: int | None = None,
) -> list[int]:
    """Return how many requests, in the order given, go into each batch; no two batches alike where that can be had.

    Of two batches of the same size in one workspace, nobody could tell which of two running ones is which.

    Args:
        sizes: bytes in the body for each request.
        taken: sizes of batches that are on their way already.
        max_requests: the most requests a batch may hold.
        max_bytes: the most bytes a batch may hold, give or take the few requests that are moved over; a single larger
            request gets a batch of its own.
        first: the most requests that the first batch may hold, when it is to be a small one.
    """
    unequal: list[int] = []
    used = set(taken)
    carried = 0
    for filled in _filled(sizes, max_requests, max_bytes, first or max_requests):
        wanted = min(filled + carried, max_requests)
        size = _free(wanted, used)
        carried += filled - size
        unequal.append(size)
        used.add(size)
    while carried:
        size = _free(min(carried, max_requests), used)
        carried -= size
        unequal.append(size)
        used.add(size)
    return unequal


def _filled(sizes: Iterable[int], max_requests: int, max_bytes: int, first: int) -> Iterator[int]:
    count = filled = 0
    most = first
    for size in sizes:
        if count and (count >= most or filled + size > max_bytes):
            yield count
            count = filled = 0
            most = max_requests
        count += 1
        filled += size
    if count:
        yield count


def _free(wanted: int, used: AbstractSet[int]) -> int:
    """Return the largest size up to the wanted one that leaves a free one for the rest; the wanted one if none does."""
    if wanted not in used:
        return wanted
    for size in range(wanted - 1, 0, -1):
        rest = wanted - size
        if size not in used and (rest > size or (rest != size and rest not in used)):
            return size
    return wanted
