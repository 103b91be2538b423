"""Errors that a person can mend: each message says what is wrong, where, and what to do."""

from __future__ import annotations


class BackcastError(Exception):
    """Base of all errors that are reported without a traceback."""


class InputError(BackcastError):
    """What was asked for cannot be done as it was asked: a wrong path, parameter or file."""


class LedgerError(BackcastError):
    """The ledger is not reachable, not migrated, or migrated by a newer version."""


class ApiError(BackcastError):
    """The API cannot be reached, or refuses us: nothing was accepted."""


class WaitsError(ApiError):
    """A batch has to wait until another intent of its size has a known end."""


class InDoubtError(BackcastError):
    """A create call has no known end: it may have been accepted, so it is never simply sent again."""


class ReportError(BackcastError):
    """A report cannot be written; nothing half-written was left behind."""


class HeldError(BackcastError):
    """A run is held until a person decides: nothing is sent for it."""
