"""Finds and ends what a killed owner left running: a note says which session was started in a home."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from backcast.local.processes import command_line, end_session, is_alive, session_members

_GRACE_SECONDS: Final = 15.0


def config_path(home: Path) -> Path:
    """Return where supervisord's configuration is; on its command line, it tells our supervisord from others."""
    return home / "run" / "supervisord.conf"


def note_session(home: Path, leader: int) -> None:
    """Note which session runs in this home."""
    _note(home).write_text(f"{leader}\n{_boot()}\n", encoding="utf-8")


def forget_session(home: Path) -> None:
    """Forget the session of this home: it has ended."""
    _note(home).unlink(missing_ok=True)


def end_leftover(home: Path) -> bool:
    """End what a killed owner left running in this home, and tell whether there was anything."""
    try:
        number, boot = _note(home).read_text(encoding="utf-8").splitlines()
        leader = int(number)
    except (OSError, ValueError):
        return False
    # The number may belong to somebody else by now: after a reboot, or in a new container.
    reused = is_alive(leader) and str(config_path(home)) not in command_line(leader)
    left = [] if reused or boot != _boot() else session_members(leader)
    if left:
        end_session(leader, grace_seconds=_GRACE_SECONDS)
    forget_session(home)
    return bool(left)


def _note(home: Path) -> Path:
    return home / "run" / "session"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"
