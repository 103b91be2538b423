"""Airflow gets the plugin once, however the package comes onto its path: by its own loaders, in a process each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
INCLUDE = PROJECT / "include"

# Airflow's core and its tasks load plugins each for themselves.
LOAD = """
import json
from airflow import plugins_manager
from airflow.sdk import plugins_manager as of_tasks
found = [manager._get_plugins() for manager in (plugins_manager, of_tasks)]
print(json.dumps([[(plugin.name, str(plugin.source)) for plugin in plugins] for plugins, _ in found]))
print(json.dumps([errors for _, errors in found]))
"""
FILE = "$PLUGINS_FOLDER/backcast_plugin.py"
ENTRY_POINT = "backcast==0.1.0: EntryPoint("


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that is installed here but this package."""
    folder = tmp_path_factory.mktemp("packages")
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "backcast" not in path.name:
            (folder / path.name).symlink_to(path)
    return folder


def metadata(folder: Path, kind: str, *, entry_points: bool) -> Path:
    """What an installation or a build leaves on the path: with the plugin's entry point, or as it was without it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    folder /= f"backcast.{kind}" if kind == "egg-info" else f"backcast-0.1.0.{kind}"
    folder.mkdir(parents=True)
    described = "Metadata-Version: 2.1\nName: backcast\nVersion: 0.1.0\n"
    (folder / ("PKG-INFO" if kind == "egg-info" else "METADATA")).write_text(described)
    groups = {"console_scripts": project["scripts"], **(project["entry-points"] if entry_points else {})}
    lines = [
        f"[{group}]\n" + "".join(f"{n} = {value}\n" for n, value in points.items()) for group, points in groups.items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    return folder.parent


def sources(home: Path, *path: Path) -> set[str]:
    """Where Airflow has the plugin from, when these folders are its path; both of its loaders must agree on one."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    # Without `site`, nothing is on the path but what is named.
    command = [sys.executable, "-S", "-c", LOAD]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, errors = map(json.loads, done.stdout.splitlines()[-2:])
    assert errors == [{}, {}]
    assert [[name for name, _ in plugins] for plugins in found] == [["backcast"], ["backcast"]]
    return {source for plugins in found for _, source in plugins}


def test_a_package_that_is_only_on_the_path_gets_the_plugin_from_the_file(packages: Path, tmp_path: Path) -> None:
    assert sources(tmp_path, INCLUDE, packages) == {FILE}


def test_an_installation_brings_the_plugin_and_the_file_steps_aside(packages: Path, tmp_path: Path) -> None:
    installed = metadata(tmp_path / "site", "dist-info", entry_points=True)
    (source,) = sources(tmp_path, packages, installed, INCLUDE)
    assert source.startswith(ENTRY_POINT)


def test_an_installation_from_before_the_entry_point_gets_the_plugin_from_the_file(
    packages: Path, tmp_path: Path
) -> None:
    installed = metadata(tmp_path / "site", "dist-info", entry_points=False)
    assert sources(tmp_path, packages, installed, INCLUDE) == {FILE}


def test_stale_metadata_among_the_sources_does_not_hide_what_is_installed(packages: Path, tmp_path: Path) -> None:
    stale = metadata(tmp_path / "sources", "egg-info", entry_points=False)
    installed = metadata(tmp_path / "site", "dist-info", entry_points=True)
    (source,) = sources(tmp_path, stale, INCLUDE, packages, installed)
    assert source.startswith(ENTRY_POINT)
