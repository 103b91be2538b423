"""What may pass by itself is retried by Airflow; what a person must mend fails at once."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from backcast.anthropic_api.batches import RefusedError
from backcast.domain.errors import ApiError, BackcastError, InDoubtError, InputError, LedgerError, ReportError
from backcast.orchestration.tasks import _explained


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ApiError("away"), True),
        (LedgerError("away"), True),
        (RefusedError("slow down", passing=True), True),
        (RefusedError("no credit"), False),
        (InDoubtError("held"), False),
        (InputError("no such repository"), False),
        (ReportError("disk full"), False),
    ],
)
def test_only_what_may_pass_is_retried(error: BackcastError, retried: bool) -> None:
    @_explained
    def task() -> None:
        raise error

    with pytest.raises(type(error) if retried else AirflowFailException, match=str(error)):
        task()
