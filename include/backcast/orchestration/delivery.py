"""Sends alerts to people, by the notifiers of Airflow connections: those of `BACKCAST_ALERTS` and of each workflow."""

from __future__ import annotations

import html
import logging
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk import Connection

    from backcast.services.alerts import Message

_log = logging.getLogger(__name__)


def deliver(messages: Sequence[Message]) -> None:
    """Send each message by each connection. What cannot be sent is logged: it stands in the ledger all the same."""
    from airflow.sdk import BaseHook

    for conn_id, told in _by_connection(messages).items():
        try:
            connection = BaseHook.get_connection(conn_id)
            for message in told:
                # Not by the notifier's own call, which would render what is in the message as a template.
                _notifier(connection, message).notify({})
                _log.info("%s about %s sent by %s.", message.kind, message.external_key, conn_id)
        except Exception as error:  # noqa: BLE001  whatever a mail server or a provider raises, the run must go on
            _log.warning(
                "Alerts could not be sent by the connection %s: %s: %s. They are in the ledger: `backcast status`.",
                conn_id,
                type(error).__name__,
                error,
            )


def _by_connection(messages: Sequence[Message]) -> dict[str, list[Message]]:
    by_connection: dict[str, list[Message]] = {}
    for message in messages:
        for conn_id in _connections_for(message):
            by_connection.setdefault(conn_id, []).append(message)
    return by_connection


def _connections_for(message: Message) -> list[str]:
    from backcast.settings import alert_connections

    try:
        return alert_connections(message.workflow)
    except InputError as error:
        _log.warning("Whom %s notifies cannot be read, so BACKCAST_ALERTS alone says it: %s", message.workflow, error)
        return alert_connections()


def require_deliverable(conn_id: str) -> str:
    """Return the type of a connection by which alerts can be sent, as far as that shows without sending one.

    Raises:
        InputError: it is of no type that alerts go by, lacks what its notifier needs, or that is not installed.
        AirflowNotFoundException: there is no such connection.
    """
    from airflow.sdk import BaseHook

    from backcast.services.alerts import Message

    connection = BaseHook.get_connection(conn_id)
    _notifier(connection, Message("check", datetime.now(UTC), "check", 0, "check"))
    return str(connection.conn_type)


def _notifier(connection: Connection, message: Message) -> Any:
    try:
        module, name, provider, arguments = _NOTIFIERS[connection.conn_type or ""]
    except KeyError:
        raise InputError(
            f"it is of type {connection.conn_type!r}, and alerts go by one of {', '.join(sorted(_NOTIFIERS))}"
        ) from None
    try:
        notifier = getattr(import_module(module), name)
    except ImportError as error:
        raise InputError(f"it needs the package {provider}, which is not installed ({error})") from error
    return notifier(**arguments(connection, message))


def _subject(message: Message) -> str:
    return f"Backcast: {message.kind.replace('_', ' ')}, {message.external_key}"


def _by_mail(connection: Connection, message: Message) -> dict[str, Any]:
    to = connection.extra_dejson.get("to")
    if not to:
        raise InputError('it names nobody to write to: add {"to": "team@example.com"} to its extra')
    return {
        "smtp_conn_id": connection.conn_id,
        "to": to,
        "subject": _subject(message),
        "html_content": f"<p>{html.escape(message.text)}</p>",
    }


def _by_slack(connection: Connection, message: Message) -> dict[str, Any]:
    return {"slack_webhook_conn_id": connection.conn_id, "text": f"{_subject(message)}\n{message.text}"}


def _by_http(connection: Connection, message: Message) -> dict[str, Any]:
    told = {
        "kind": message.kind,
        "run_id": message.run_id,
        "dag_run": message.external_key,
        "at": message.at.isoformat(),
        "text": message.text,
    }
    return {"http_conn_id": connection.conn_id, "json": told}


# By the connection's type: module and class of the notifier, the package that has it, and what it is told.
_NOTIFIERS: Final[Mapping[str, tuple[str, str, str, Callable[[Connection, Message], dict[str, Any]]]]] = {
    "smtp": ("airflow.providers.smtp.notifications.smtp", "SmtpNotifier", "apache-airflow-providers-smtp", _by_mail),
    "slackwebhook": (
        "airflow.providers.slack.notifications.slack_webhook",
        "SlackWebhookNotifier",
        "apache-airflow-providers-slack",
        _by_slack,
    ),
    "http": (
        "airflow.providers.http.notifications.http",
        "HttpNotifier",
        "apache-airflow-providers-http",
        _by_http,
    ),
}
