"""Splits documents that are too long into parts, and merges what is found in them."""

from backcast.chunking.apart import split_apart
from backcast.chunking.chunks import Chunk, LineRange, Splitting, TokenCounter, Unsplittable
from backcast.chunking.merging import PartFindings, merge_findings
from backcast.chunking.sheet import Sheet, shown
from backcast.chunking.splitting import split

__all__ = [
    "Chunk",
    "LineRange",
    "PartFindings",
    "Sheet",
    "Splitting",
    "TokenCounter",
    "Unsplittable",
    "merge_findings",
    "shown",
    "split",
    "split_apart",
]
