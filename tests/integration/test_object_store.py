"""Documents in an object store that speaks S3, over HTTP: what is listed and read, and what is said if not."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from backcast.domain.documents import Selection
from backcast.domain.errors import InputError
from backcast.sources.files import FilesSource
from backcast.sources.object_store import object_entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

server = pytest.importorskip("moto.server", reason="`pip install moto[s3] flask flask-cors` gives the store")
pytest.importorskip("s3fs")
PAGE = 3


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Where the store listens."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(name="store")
def make_store(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket, and an environment that knows the way to it and nothing else."""
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST"))
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    store = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    store.mkdir("bucket")
    return store


def put(store: Any, objects: dict[str, bytes]) -> None:
    for key, content in objects.items():
        store.call_s3("put_object", Bucket="bucket", Key=key, Body=content)


def source(url: str, **selection: Any) -> FilesSource:
    return FilesSource(url, lambda: object_entries(url), replace(Selection(), **selection))


def reasons(url: str, **selection: Any) -> dict[str, str | None]:
    return {document.path: document.skip_reason for document in source(url, **selection).documents()}


def texts(url: str) -> dict[str, str | None]:
    return {document.path: document.text for document in source(url).documents() if document.text}


def test_all_pages_of_a_listing_are_read_and_nothing_beside_the_folder(store: Any) -> None:
    put(store, {f"in/{number:02}.txt": b"%d\n" % number for number in range(3 * PAGE + 2)})
    put(store, {"in2/beside.txt": b"no\n", "in.txt": b"no\n"})
    found = source("s3://bucket/in/")
    assert [(one.path, one.text) for one in found.documents()] == [(f"{n:02}.txt", f"{n}\n") for n in range(11)]
    assert abs(datetime.now(UTC) - found.snapshot().committed_at) < timedelta(hours=1)
    assert len(texts("s3://bucket")) == 13
    # Nothing has come in yet.
    assert texts("s3://bucket/later") == {}


def test_keys_are_names_and_nothing_else(store: Any) -> None:
    """None of them is a way out, none hides another one, and a marker of a folder is no document."""
    odd = [
        "a b+%20\u00fc#?.txt",
        "[x]*.txt",
        "{b}.txt",
        "'q\".txt",
        "back\\slash.txt",
        "a.txt",
        "a.txt/below.txt",
        "/a.txt",
    ]
    put(store, {f"in/{name}": name.encode() for name in odd})
    put(store, {"in/": b"", "in/folder/": b"", "in/odd/": b"x", "in/../up.txt": b"x", "in/.hidden/a.txt": b"x"})
    assert texts("s3://bucket/in") == {name: name for name in odd}
    assert {path: reason for path, reason in reasons("s3://bucket/in").items() if reason} == {
        "odd/": "no regular file",
        "../up.txt": "hidden",
        ".hidden/a.txt": "hidden",
    }
    # The URL of one object.
    assert texts("s3://bucket/in/[x]*.txt") == {"[x]*.txt": "[x]*.txt"}


def test_what_is_larger_than_allowed_is_not_fetched_and_what_grows_is_left_out(store: Any) -> None:
    put(store, {"in/big.txt": b"x" * 101, "in/gone.txt": b"x\n", "in/grows.txt": b"x\n", "in/new.txt": b"old\n"})
    entries = list(object_entries("s3://bucket/in"))
    put(store, {"in/grows.txt": b"x" * 1_000, "in/new.txt": b"changed\n"})
    store.call_s3("delete_object", Bucket="bucket", Key="in/big.txt")
    store.call_s3("delete_object", Bucket="bucket", Key="in/gone.txt")
    found = FilesSource("in", lambda: iter(entries), replace(Selection(), max_document_bytes=100))
    assert {one.path: one.skip_reason or one.text for one in found.documents()} == {
        "big.txt": "larger than 100 bytes",
        "gone.txt": "cannot be read",
        "grows.txt": "larger than 100 bytes",
        "new.txt": "changed\n",
    }


def test_a_store_that_cannot_be_listed_says_what_is_wrong(
    store: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, {"in/a.txt": b"x\n"})
    [entry] = object_entries("s3://bucket/in")
    with pytest.raises(InputError, match=r"s3://none/in does not exist: check the bucket and the folder"):
        list(object_entries("s3://none/in"))

    def must_know_the_key(calls: int) -> None:
        told = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", data=str(calls).encode(), headers={"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(told)

    must_know_the_key(0)
    with pytest.raises(InputError, match=r"s3://bucket/in may not be listed with the credentials of this environment"):
        list(object_entries("s3://bucket/in"))
    with pytest.raises(PermissionError):
        entry.read(10)
    must_know_the_key(10**9)
    with monkeypatch.context() as without:
        without.delenv("AWS_ACCESS_KEY_ID")
        without.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(InputError, match=r"s3://bucket/in cannot be listed: Unable to locate credentials\. Check"):
            list(object_entries("s3://bucket/in"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(InputError, match=r"s3://bucket/in cannot be listed: Invalid endpoint: nonsense"):
        list(object_entries("s3://bucket/in"))


def test_a_store_that_goes_away_stops_the_reading_rather_than_leaving_out_all_the_rest(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, {"in/a.txt": b"x\n"})
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    another = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    another.start()
    host, port = another.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    # Both servers know the same buckets.
    entries = list(object_entries("s3://bucket/in"))
    another.stop()
    away = FilesSource("in", lambda: iter(entries), Selection())
    with pytest.raises(InputError, match=r"a\.txt cannot be read: .*Try again"):
        list(away.documents())
    with pytest.raises(InputError, match=r"s3://bucket/in cannot be listed: Could not connect to the endpoint URL"):
        list(object_entries("s3://bucket/in"))
