"""Splits documents that are too long into parts, and merges what is found in them."""

from backcast.chunking.merging import PartFindings, in_document_lines, merge_findings

__all__ = ["PartFindings", "in_document_lines", "merge_findings"]
