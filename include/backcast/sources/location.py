"""What names a repository: a path or a URL, told apart, checked, and shown without its credentials."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from backcast.domain.errors import InputError

_SCHEMES = ("https", "ssh", "file")
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:(?!/?/)\S")
_CREDENTIALS = re.compile(r"(\w+://)[^\s/@]*(?::[^\s/]*)?@")
_QUERY = re.compile(r"(\w+://[^\s?#'\"]*)[?#][^\s'\"]*")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository behind a URL; `shown` is the URL without what should stay secret."""

    url: str
    shown: str

    @property
    def key(self) -> str:
        """A folder name for the clone, the same for every set of credentials."""
        return hashlib.sha256(self.shown.encode()).hexdigest()

    def scrub(self, text: str) -> str:
        """`text`, as git or another tool wrote it, without this URL's credentials."""
        return _QUERY.sub(r"\1", _CREDENTIALS.sub(r"\1", text.replace(self.url, self.shown)))


def parse_repository(repository: str) -> Remote | Path:
    """Tell a path from a URL, and refuse what git would run as a program or take for an option."""
    if not repository or _has_control(repository):
        raise InputError("the repository is empty or contains control characters: give a path or a URL")
    if repository.startswith("-"):
        raise InputError(f"repository {repository!r} begins with '-': write a path like that as './{repository}'")
    if re.match(r"[A-Za-z][\w+.-]*::", repository):
        raise InputError("remote helpers (like ext::) are not allowed: give a path, https://, ssh://, file:// or git@…")
    if "://" in repository:
        return _parse_url(repository)
    if _SCP_LIKE.match(repository):
        return Remote(repository, repository)
    return Path(repository).resolve()


def check_ref(ref: str) -> str:
    """The ref, unless git could take it for something else than a ref."""
    if not ref or ref.startswith("-") or _has_control(ref):
        raise InputError(f"{ref!r} is no ref: give a branch, a tag or a commit id, such as HEAD or main")
    return ref


def is_object_id(text: str) -> bool:
    """Whether `text` is a full commit id."""
    return _OBJECT_ID.fullmatch(text) is not None


def _parse_url(url: str) -> Remote:
    try:
        parts = urlsplit(url)
        host, port, user = parts.hostname or "", parts.port, parts.username
    except ValueError as error:
        raise InputError("the repository's URL cannot be read: check its host and port") from error
    if parts.scheme not in _SCHEMES:
        raise InputError(f"{parts.scheme}:// is not allowed for a repository: use https://, ssh:// or file://")
    if parts.scheme != "file" and not host:
        raise InputError(f"the repository's URL has no host: write {parts.scheme}://HOST/PATH")
    # The user of an ssh URL says which account is meant; the user of a web URL is often the token itself.
    account = f"{user}@" if parts.scheme == "ssh" and user else ""
    if host.startswith("-") or account.startswith("-"):
        raise InputError("the repository's URL has a host or user that begins with '-': check it")
    netloc = account + (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    return Remote(url, urlunsplit((parts.scheme, netloc, parts.path, "", "")))


def _has_control(text: str) -> bool:
    return any(ord(character) < ord(" ") or ord(character) == 0x7F for character in text)  # noqa: PLR2004 - DEL
