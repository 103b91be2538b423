"""Tells Airflow which errors may pass by themselves, and which a person must mend."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from backcast.domain.errors import ApiError, BackcastError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

_P = ParamSpec("_P")
_R = TypeVar("_R")


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let Airflow retry what may pass by itself, and fail at once what a person must mend."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except BackcastError as error:
            if may_pass(error):
                raise
            raise AirflowFailException(str(error)) from error

    return call


def may_pass(error: BackcastError) -> bool:
    """Whether the same call may go well later, without anybody doing anything."""
    # A refusal says so itself; an API or a ledger that is away may come back.
    return bool(getattr(error, "passing", isinstance(error, ApiError | LedgerError)))
