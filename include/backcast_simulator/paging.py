"""Pages of things that have ids."""

from __future__ import annotations

from typing import Protocol, TypeVar

from backcast_simulator.errors import invalid

MAX_PAGE = 1000


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Identified)


def paginate(items: list[T], limit: int, after_id: str | None, before_id: str | None) -> tuple[list[T], bool]:
    """The part of a list that a page shows, by the `id`s of its items, and whether more follows."""
    if not 1 <= limit <= MAX_PAGE:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_PAGE}"
        raise invalid(f"limit: Input should be {bound}")
    ids = [item.id for item in items]
    for name, value in (("after_id", after_id), ("before_id", before_id)):
        if value is not None and value not in ids:
            raise invalid(f"{name}: no object with id {value}")
    if before_id is not None:
        end = ids.index(before_id)
        start = max(0, end - limit)
        return items[start:end], start > 0
    start = 0 if after_id is None else ids.index(after_id) + 1
    return items[start : start + limit], start + limit < len(items)
