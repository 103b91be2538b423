"""What Compose says before anything runs, and what a demo refuses."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx2
import pytest

from backcast.domain.errors import InputError
from backcast.local.airflow_api import AirflowApi
from backcast.local.containers import Containers, _follow, check_address, is_simulator, run_demo
from backcast.local.display import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support import RunningSimulator

    from backcast.ledger.connection import Ledger

REAL = "https://api.anthropic.com"


def test_the_real_api_without_a_key_is_refused_with_both_ways_on() -> None:
    with pytest.raises(InputError, match=r"ANTHROPIC_API_KEY in \.env is empty.*--profile demo up"):
        check_address(REAL, "")


def test_the_real_api_with_a_key_is_not_asked() -> None:
    assert check_address("https://nowhere.invalid", "sk-ant-test") == (
        "Requests go to https://nowhere.invalid: every run is paid for."
    )


def test_a_simulator_that_is_not_there_is_said_with_both_ways_on() -> None:
    with pytest.raises(InputError, match=r"--profile demo up.*BACKCAST_API_URL=https://api\.anthropic\.com"):
        check_address("http://simulator:1", "", wait_seconds=0)


def test_a_demo_that_would_ask_another_api_triggers_nothing() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(request.url)

    with AirflowApi("http://airflow", "admin", "none", httpx2.MockTransport(refuse)) as airflow:
        site = Containers(airflow, "postgresql://nobody@nowhere/none")
        with pytest.raises(InputError, match="Nothing was triggered"):
            run_demo(site, "http://127.0.0.1:1", Display())


def test_a_run_is_followed_on_after_airflow_was_away_for_a_moment(ledger: Ledger) -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        if len(asked) == 1:
            raise httpx2.ReadTimeout("busy", request=request)
        return httpx2.Response(200, json={"state": "success"})

    with AirflowApi("http://airflow", "admin", "none", httpx2.MockTransport(answer)) as airflow:
        site = Containers(airflow, ledger.dsn)
        assert _follow(site, "demo-1", Display(), pause_seconds=0) == ("success", None)
    assert len(asked) == 2


class Gateway(BaseHTTPRequestHandler):
    """Answers whatever it is asked, as a gateway in front of the real API may."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


@pytest.fixture
def gateway() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_simulator_is_known_by_what_it_says(start_simulator: Callable[..., RunningSimulator], gateway: str) -> None:
    assert is_simulator(start_simulator().base_url)
    assert not is_simulator(gateway)
    assert not is_simulator("http://127.0.0.1:1")
    assert not is_simulator("no address")
