"""Lists an object store, by fsspec: S3 and its like; `file://` is a folder like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from posixpath import basename
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from backcast.domain.errors import InputError
from backcast.domain.object_stores import PACKAGES, check_url
from backcast.sources.files import HIDDEN, NO_REGULAR_FILE, Entry
from backcast.sources.folder import folder_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHANGED: Final = ("LastModified", "last_modified", "mtime", "updated", "created")


def object_entries(url: str) -> Iterator[Entry]:
    """Every object below a URL, in path order.

    Raises:
        InputError: the store cannot be read; the message says what is missing.
    """
    url = check_url(url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        yield from folder_entries(Path(unquote(parts.path) or "/"))
        return
    system, root = _opened(url, parts.scheme)
    try:
        found: Mapping[str, Mapping[str, Any]] = system.find(root, detail=True)
    except FileNotFoundError:
        raise InputError(f"{url} does not exist: check the bucket and the folder.") from None
    except PermissionError as error:
        raise InputError(f"{url} may not be listed with the credentials of this environment: {error}") from None
    except Exception as error:
        # Each store's library has errors of its own: for credentials that are missing, an endpoint that is away.
        raise InputError(
            f"{url} cannot be listed: {str(error) or type(error).__name__}. Check the credentials, the endpoint and "
            "the network; the store's own environment variables or files name them."
        ) from error
    for name in sorted(found):
        if found[name].get("type", "file") == "file" and not _is_folder(name, found[name]):
            yield _entry(system, name, _below(root, name), found[name])


def _is_folder(name: str, info: Mapping[str, Any]) -> bool:
    # Consoles make such objects, so that an empty folder is shown.
    return name.endswith("/") and not info.get("size")


def _below(root: str, name: str) -> str:
    """Return the path of an object below the root; slashes after the first one are part of its name."""
    root = str(root).rstrip("/")
    return basename(name) if name == root else name.removeprefix(f"{root}/")


def _opened(url: str, scheme: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415  few commands need it

    try:
        # What was listed for an earlier run must not be taken for what is there now.
        system, root = fsspec.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        package = PACKAGES.get(scheme, scheme)
        raise InputError(f"{scheme}:// needs the package {package}: `pip install {package}`. ({error})") from None
    return system, root


def _entry(system: Any, name: str, path: str, info: Mapping[str, Any]) -> Entry:  # noqa: ANN401  fsspec has no types
    def read(most: int) -> bytes:
        try:
            with system.open(name, "rb") as file:
                content: bytes = file.read(most)
        except OSError:
            # This object is away, or not for us.
            raise
        except Exception as error:
            # The store is: leaving out one object after the other would look as if nothing had come in.
            raise InputError(f"{path} cannot be read: {str(error) or type(error).__name__}. Try again.") from error
        return content

    size = int(info.get("size") or 0)
    if "\0" in path or not basename(path):
        return Entry(path.replace("\0", " "), size, None, read, NO_REGULAR_FILE)
    hidden = any(part.startswith(".") for part in path.split("/"))
    return Entry(path, size, _changed(info), read, HIDDEN if hidden else None)


def _changed(info: Mapping[str, Any]) -> datetime | None:
    at = next((info[name] for name in _CHANGED if info.get(name)), None)
    if isinstance(at, int | float):
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return None
    if not isinstance(at, datetime):
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
