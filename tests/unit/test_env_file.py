"""`make secrets`: what `.env` gets, keeps, and shows to nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backcast.local.env_file import SECRETS, SETTINGS, complete, write_env_file

PROJECT = Path(__file__).resolve().parents[2]


def _values(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_a_new_file_holds_every_secret_and_setting_and_no_two_files_the_same_secret() -> None:
    one, other = (_values(complete("")[0]) for _ in range(2))
    assert one.keys() == {*SECRETS, *SETTINGS}
    assert all(len(one[name]) >= 16 and one[name] != other[name] for name in SECRETS)
    assert one["ANTHROPIC_API_KEY"] == ""


def test_what_a_file_says_stays_and_only_what_it_lacks_is_added() -> None:
    text, made = complete("# mine\nPOSTGRES_PASSWORD='kept'\nexport AIRFLOW_JWT_SECRET=kept too\nOTHER=1\n")
    assert text.startswith("# mine\nPOSTGRES_PASSWORD='kept'\nexport AIRFLOW_JWT_SECRET=kept too\nOTHER=1\n")
    assert {*made} == {*SECRETS, *SETTINGS} - {"POSTGRES_PASSWORD", "AIRFLOW_JWT_SECRET"}
    assert complete(text) == (text, [])


def test_a_secret_without_a_value_is_made_and_a_setting_without_one_is_left_empty() -> None:
    values = _values(complete("POSTGRES_PASSWORD=\nBACKCAST_SCHEDULES=\n")[0])
    assert len(values["POSTGRES_PASSWORD"]) >= 16
    assert values["BACKCAST_SCHEDULES"] == ""


def test_only_its_owner_may_read_the_file_whatever_its_mode_was(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("OTHER=1\n", encoding="utf-8")
    path.chmod(0o644)
    assert write_env_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    assert write_env_file(path) == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_make_secrets_names_what_it_made_and_shows_no_value(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    command = [sys.executable, "-S", "-m", "backcast.local.env_file", str(path)]
    done = subprocess.run(command, cwd=PROJECT / "include", capture_output=True, text=True, check=True)
    values = _values(path.read_text(encoding="utf-8"))
    assert all(name in done.stdout for name in values)
    assert not [name for name in SECRETS if values[name] in done.stdout + done.stderr]


def test_a_file_that_cannot_be_read_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xff\xfe")
    command = [sys.executable, "-m", "backcast.local.env_file", str(path)]
    done = subprocess.run(command, cwd=PROJECT / "include", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{path} cannot be read or written" in done.stderr
    assert path.read_bytes() == b"\xff\xfe"
