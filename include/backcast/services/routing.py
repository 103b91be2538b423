"""Which API each workflow belongs on, as its file declares it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.domain.errors import InputError
from backcast.domain.routing import Api, route
from backcast.precedence import Origin
from backcast.settings import declared_facts, resolve, workflow_file

if TYPE_CHECKING:
    from backcast.domain.routing import Route


def route_of(workflow: str) -> Route:
    """Return which API a workflow belongs on, who waits, and why.

    Raises:
        InputError: there is no such workflow, its file is wrong, or it contradicts itself; the message says where.
    """
    try:
        return route(declared_facts(workflow))
    except ValueError as error:
        raise InputError(f"{_place(workflow)}: {error}") from error


def _place(workflow: str) -> str:
    sla = resolve(workflow, {})["sla"]
    line = f":{sla.line}" if sla.line else ""
    return f"{workflow_file(workflow)}{line}: sla" if sla.origin is Origin.FILE else str(sla.setting.variable)


def require_batch(workflow: str) -> None:
    """Refuse to submit batches for a workflow for which somebody waits, or must run tools in mid-answer.

    A short SLA is no reason: the cut-offs of a run keep it, however little time they leave to a batch.

    Raises:
        InputError: it is such a workflow; the message says so.
    """
    facts = declared_facts(workflow)
    if facts.blocking or facts.client_tools:
        raise InputError(f"{workflow} is not for batches. {route(facts).why} It is asked synchronously.")


def has_checks(workflow: str) -> bool:
    """Whether the findings of a workflow are checked before they are reported; not those of one that cannot be read."""
    try:
        return declared_facts(workflow).check is not None
    except InputError:
        return False


def is_synchronous(workflow: str) -> bool:
    """Whether nothing of a workflow belongs into a batch.

    Raises:
        InputError: as `route_of`.
    """
    return route_of(workflow).api is Api.SYNCHRONOUS
