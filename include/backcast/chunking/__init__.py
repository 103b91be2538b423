"""Splits documents that are too long into parts, and merges what is found in them."""

from backcast.chunking.chunks import Chunk, LineRange, Splitting, TokenCounter, Unsplittable
from backcast.chunking.merging import PartFindings, in_document_lines, merge_findings
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
    "in_document_lines",
    "merge_findings",
    "shown",
    "split",
]
