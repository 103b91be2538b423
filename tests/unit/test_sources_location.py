"""Paths and URLs are told apart, dangerous ones refused, credentials never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from backcast.domain.errors import InputError
from backcast.sources.gitcli import environment
from backcast.sources.location import Remote, check_ref, parse_repository


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://github.com/acme/shop.git", "https://github.com/acme/shop.git"),
        ("https://me:s3cret@host.example:8443/shop?token=s3cret#x", "https://host.example:8443/shop"),
        ("https://s3cret@host.example/shop", "https://host.example/shop"),
        ("ssh://git:s3cret@host.example:22/shop", "ssh://git@host.example:22/shop"),
        ("https://[::1]:8443/shop", "https://[::1]:8443/shop"),
        ("git@github.com:acme/shop.git", "git@github.com:acme/shop.git"),
        ("file:///srv/shop", "file:///srv/shop"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    location = parse_repository(url)
    assert isinstance(location, Remote)
    assert location.url == url
    assert location.shown == shown
    assert "s3cret" not in location.scrub(f"fatal: unable to access '{url}/': refused, 'https://x:s3cret@host.example'")


def test_other_credentials_share_a_clone() -> None:
    one, other = (parse_repository(f"https://{user}@host.example/shop") for user in ("a:b", "c"))
    assert isinstance(one, Remote)
    assert isinstance(other, Remote)
    assert one.key == other.key


@pytest.mark.parametrize("path", [".", "/srv/shop", "a b", "x/y:z", "C:/shop"])
def test_everything_else_is_a_path(path: str) -> None:
    assert parse_repository(path) == Path(path).resolve()


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        ("", "empty"),
        ("a\nb", "control"),
        ("--upload-pack=x", "begins with '-'"),
        ("ext::sh -c id", "remote helpers"),
        ("fd::17", "remote helpers"),
        ("http://host.example/shop", "http:// is not allowed"),
        ("git://host.example/shop", "git:// is not allowed"),
        ("https:///shop", "no host"),
        ("ssh://-oProxyCommand=id/shop", "begins with '-'"),
        ("https://host.example:port/shop", "cannot be read"),
    ],
)
def test_what_git_must_not_be_given_is_refused(repository: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_repository(repository)


@pytest.mark.parametrize("ref", ["", "-x", "--output=x", "a\0b", "a\nb"])
def test_what_is_no_ref_is_refused(ref: str) -> None:
    with pytest.raises(InputError, match="is no ref"):
        check_ref(ref)


def test_git_gets_no_repository_from_the_environment_and_cannot_ask() -> None:
    given = {"PATH": "/bin", "GIT_DIR": "/x", "GIT_WORK_TREE": "/y", "GIT_SSH_COMMAND": "ssh -i key", "LC_ALL": "de_DE"}
    got = environment(given)
    assert "GIT_DIR" not in got
    assert "GIT_WORK_TREE" not in got
    assert got["GIT_SSH_COMMAND"] == "ssh -i key"
    assert got["GIT_TERMINAL_PROMPT"] == "0"
    assert got["GIT_ALLOW_PROTOCOL"] == "file:https:ssh"
    assert got["LC_ALL"] == "C"
