"""Alerts are sent by Airflow's notifiers; what cannot be sent is logged, and stops nothing."""

from __future__ import annotations

import json
import logging
import shutil
import socketserver
import threading
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_string
from typing import TYPE_CHECKING

import pytest

from backcast.domain.deadlines import DeadlineKind
from backcast.orchestration.delivery import deliver
from backcast.services.alerts import Message
from backcast.settings import workflows_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT = "Run 7 of nightly {{ 7 * 7 }} is at <risk>."
MESSAGE = Message(DeadlineKind.AT_RISK, datetime(2026, 11, 26, 6, 10, tzinfo=UTC), "dag/1", 7, TEXT)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of a mail server as takes a message."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().decode().upper():
            if line.startswith("QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"354 go on\r\n" if line.startswith("DATA") else b"250 ok\r\n")
            if line.startswith("DATA"):
                self._take()

    def _take(self) -> None:
        lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
        self.server.taken.append("".join(lines))  # type: ignore[attr-defined]
        self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.taken = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        extra = {"to": "team@example.com", "from_email": "b@example.com", "disable_ssl": True, "disable_tls": True}
        connect(monkeypatch, "MAIL", conn_type="smtp", host="127.0.0.1", port=server.server_address[1], extra=extra)
        yield server.taken  # type: ignore[attr-defined]
        server.shutdown()


def connect(monkeypatch: pytest.MonkeyPatch, name: str, **connection: object) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))


def test_a_message_is_mailed_as_it_is(monkeypatch: pytest.MonkeyPatch, mails: list[str]) -> None:
    monkeypatch.setenv("BACKCAST_ALERTS", "mail")
    deliver([MESSAGE])
    [mail] = map(message_from_string, mails)
    assert mail["To"] == "team@example.com"
    assert mail["Subject"] == "Backcast: deadline at risk, dag/1"
    [part] = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    # Neither a template nor markup, whatever a repository is called.
    assert part.get_payload(decode=True).decode() == "<p>Run 7 of nightly {{ 7 * 7 }} is at &lt;risk&gt;.</p>"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        ({"conn_type": "slackwebhook"}, "needs the package apache-airflow-providers-slack, which is not installed"),
        ({"conn_type": "postgres"}, "alerts go by one of http, slackwebhook, smtp"),
        ({"conn_type": "smtp"}, "it names nobody to write to"),
        ({"conn_type": "smtp", "host": "127.0.0.1", "port": 1, "extra": {"to": "a@b.c", "retry_limit": 1}}, "Error"),
        (None, "isn't defined"),
    ],
)
def test_what_cannot_be_sent_is_logged_and_the_others_are_sent(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mails: list[str],
    connection: dict[str, object] | None,
    why: str,
) -> None:
    if connection:
        connect(monkeypatch, "BROKEN", **connection)
    monkeypatch.setenv("BACKCAST_ALERTS", "broken, mail")
    with caplog.at_level(logging.WARNING):
        deliver([MESSAGE])
    assert "could not be sent by the connection broken" in caplog.text
    assert why in caplog.text
    assert len(mails) == 1


def test_a_workflows_own_connection_hears_of_its_runs_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mails: list[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("BACKCAST_ALERTS", raising=False)
    folder = tmp_path / "workflows"
    for name in ("mine", "broken"):
        shutil.copytree(workflows_folder() / "nightly_tech_debt", folder / name)
        file = folder / name / "workflow.yaml"
        more = "notifications: [mail]\n" if name == "mine" else "slaa: 3h\n"
        file.write_text(file.read_text().replace("name: nightly_tech_debt", f"name: {name}") + more)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))
    for workflow in ("mine", "broken", None):
        deliver([replace(MESSAGE, external_key=f"{workflow}/1", workflow=workflow)])
    [mail] = map(message_from_string, mails)
    assert mail["Subject"] == "Backcast: deadline at risk, mine/1"
    # Whoever is to hear of everything still does when a workflow's file cannot be read.
    monkeypatch.setenv("BACKCAST_ALERTS", "mail")
    deliver([replace(MESSAGE, workflow="broken"), replace(MESSAGE, workflow="mine")])
    assert len(mails) == 3
    assert "Whom broken notifies cannot be read" in caplog.text


def test_without_a_connection_or_a_message_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, mails: list[str]) -> None:
    monkeypatch.delenv("BACKCAST_ALERTS", raising=False)
    deliver([MESSAGE])
    monkeypatch.setenv("BACKCAST_ALERTS", "mail")
    deliver([])
    assert mails == []
