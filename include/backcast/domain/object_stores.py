"""Which object stores are read, by their URLs."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from backcast.domain.errors import InputError

# What fsspec can open besides are programs, archives and other machines' disks.
SCHEMES: Final = ("s3", "gs", "az", "abfs", "abfss", "file", "memory")
PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}


def check_url(url: str) -> str:
    """The URL of a folder in an object store, without a slash at its end.

    Raises:
        InputError: it is of no kind that is read, or holds credentials, which would be kept in the ledger.
    """
    # Before anything is shown of it.
    try:
        parts = urlsplit(url)
        credentials = parts.username is not None and parts.scheme not in {"abfs", "abfss"}
        secret = credentials or parts.password is not None or bool(parts.query)
    except ValueError:
        raise InputError("The object store's URL cannot be read: write it like s3://bucket/folder.") from None
    if secret:
        raise InputError(
            f"The URL of {parts.scheme}://{parts.hostname or ''}{parts.path} holds credentials or options, which would "
            "be kept in the ledger. Leave them out: the store's own environment variables or files give them."
        )
    if parts.scheme not in SCHEMES or "::" in url:
        raise InputError(f"{url!r} is no object store that is read: write a URL of {', '.join(SCHEMES)}.")
    if parts.scheme == "file" and parts.netloc:
        raise InputError(f"{url!r} names a machine: write three slashes, as in file:///srv/inbox.")
    if parts.scheme in PACKAGES and not parts.netloc:
        raise InputError(f"{url!r} names no bucket: write it like {parts.scheme}://bucket/folder.")
    return url.rstrip("/") if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}"
