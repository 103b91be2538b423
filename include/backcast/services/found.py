"""Findings as the ledger keeps them, made into those of a report."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from backcast.domain.report import Finding, FindingStatus

if TYPE_CHECKING:
    from backcast.ledger.connection import Row

_FIELDS = [field.name for field in fields(Finding) if field.name != "status"]


def finding_of(row: Row, status: FindingStatus) -> Finding:
    """Return the finding in a row of `findings` with its document's path."""
    return Finding(status=status, **{name: row[name] for name in _FIELDS})
