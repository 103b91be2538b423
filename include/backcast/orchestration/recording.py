"""Tells the ledger of what was answered without it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backcast.domain.workflow import RunSettings
    from backcast.services.review_record import Given

_log = logging.getLogger(__name__)


def tell_ledger(settings: RunSettings, given: Given, what: str) -> None:
    """Record what was given, so that its money counts; that this fails is only logged.

    Args:
        settings: of the workflow.
        given: what was answered.
        what: what it is called, as in "review".
    """
    from backcast.orchestration import clients
    from backcast.services.review_record import record_in_time

    try:
        why = record_in_time(clients.ledger(), clients.api().base_url, settings, given)
    except Exception as error:  # noqa: BLE001  it is there, with or without a connection to a ledger
        why = str(error)
    if why:
        _log.warning("The ledger does not know of this %s: %s", what, why)
