"""Tells every value that a workflow is run with, and where each came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast import settings
from backcast.domain.documents import is_url
from backcast.domain.errors import InputError
from backcast.domain.masking import HIDDEN, without_password
from backcast.domain.object_stores import check_url
from backcast.precedence import Origin
from backcast.sources.location import Remote, parse_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backcast.precedence import Found

# What of the environment may be written so that it cannot be used.
_READ_MACHINE: Final[tuple[Callable[[], object], ...]] = (
    settings.poll_interval_seconds,
    settings.exclusive_workspace,
    settings.schedules_on,
    settings.approval_timeout,
)


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it may be shown: without passwords.

    Attributes:
        name: its path in `workflow.yaml`, or its name among what the environment alone says.
        value: as it was written; text, number, list, or None when it is not set.
        origin: `parameter`, `environment`, `workflow.yaml` or `default`.
        where: the same with the variable's name or the file's line, such as `workflow.yaml:7`.
        parameter: the DAG run's parameter that would win over it; None when there is none.
        variable: the environment variable that would, or did.
    """

    name: str
    value: Any
    origin: Origin
    where: str
    parameter: str | None
    variable: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """The values of a workflow that is declared in `file`, and what the environment says for every workflow.

    `wrong` says why a run could not be opened with them; None when it could.
    """

    workflow: str
    file: str
    values: list[Value]
    environment: list[Value]
    wrong: str | None


def configuration(workflow: str) -> Configuration:
    """Return the values that a run of a workflow would have if its parameters said nothing.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    found = settings.resolve(workflow, {})
    machine = settings.resolve_machine()
    return Configuration(
        workflow=workflow,
        file=str(settings.workflow_file(workflow).resolve()),
        values=[_shown(one) for one in found.values()],
        environment=[_shown(one) for one in machine.values()],
        wrong=_wrong(workflow),
    )


def _wrong(workflow: str) -> str | None:
    try:
        settings.run_settings(workflow, {})
        for read in _READ_MACHINE:
            read()
    except InputError as error:
        return str(error)
    return None


def _shown(found: Found) -> Value:
    hide = _HIDING.get(found.setting.name)
    return Value(
        name=found.setting.name,
        value=hide(str(found.value)) if hide and found.value is not None else found.value,
        origin=found.origin,
        where=_where(found),
        parameter=found.setting.parameter,
        variable=found.setting.variable,
    )


def _where(found: Found) -> str:
    if found.origin is Origin.ENVIRONMENT:
        return str(found.setting.variable)
    if found.origin is Origin.FILE:
        return f"{found.origin}:{found.line}" if found.line else str(found.origin)
    return str(found.origin)


def _without_credentials(repository: str) -> str:
    try:
        location = parse_repository(repository)
    except InputError:
        # Git would not be given it, and whatever it is may hold a secret.
        return HIDDEN
    return location.shown if isinstance(location, Remote) else repository


def _without_credentials_of_store(path: str) -> str:
    try:
        return check_url(path) if is_url(path) else path
    except InputError:
        return HIDDEN


_HIDING: Final[Mapping[str, Callable[[str], str]]] = {
    "ledger": without_password,
    "source.repository": _without_credentials,
    "source.path": _without_credentials_of_store,
}
