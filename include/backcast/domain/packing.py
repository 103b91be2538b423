"""How requests are packed into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_REQUESTS: Final = 100_000
# The API's limit is 256 MB for the body; what is estimated here is the document alone, so a wide margin is kept.
MAX_BYTES: Final = 160_000_000


def pack(
    sizes: Iterable[tuple[int, int]], *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[int, int, int]]:
    """Assign requests to batches in the order given.

    Args:
        sizes: (request id, bytes in the body) for each request.
        max_requests: the most requests a batch may hold.
        max_bytes: the most bytes a batch may hold; a single larger request gets a batch of its own.

    Yields:
        (request id, batch index from 0, position in the batch from 0).
    """
    batch = position = filled = 0
    for request_id, size in sizes:
        if position and (position >= max_requests or filled + size > max_bytes):
            batch, position, filled = batch + 1, 0, 0
        yield request_id, batch, position
        position += 1
        filled += size
