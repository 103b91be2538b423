"""Scripts on the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support import RunningSimulator


def test_a_script_on_the_command_line_is_in_force_or_refused_with_its_place(
    start_simulator: Callable[..., RunningSimulator], tmp_path: Path
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("- match: a\n  outcome: refusal\n", encoding="utf-8")
    (rule,) = start_simulator("--script", str(script)).http.get("/simulator/rules").json()
    assert (rule["match"], rule["outcome"]) == ("a", "refusal")
    script.write_text("- match: a\n  outcome: explodes\n", encoding="utf-8")
    command = [sys.executable, "-m", "backcast_simulator", "--port", "1025", "--script", str(script)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert f"--script {script}:2:12: rules.0.outcome: one of errored, " in refused.stderr
