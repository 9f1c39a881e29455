"""The key travels encrypted, to the place that was meant."""

from __future__ import annotations

import pytest

from enrich.api.address import base_url_from, checked_base_url, is_loopback
from enrich.api.errors import BaseUrlError


def test_the_vendors_address_is_the_default() -> None:
    assert base_url_from({}) == "https://api.parallel.ai"
    assert base_url_from({"PARALLEL_BASE_URL": " "}) == "https://api.parallel.ai"
    assert base_url_from({"PARALLEL_BASE_URL": "http://localhost:8080/"}) == "http://localhost:8080"


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example",
        "https://a.example:8443/prefix",
        "http://127.0.0.1:1",
        "http://[::1]:80",
        "http://127.9.9.9",
    ],
)
def test_good_addresses_stay_as_they_are(url: str) -> None:
    assert checked_base_url(url) == url
    assert checked_base_url(url + "/") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("http://api.parallel.ai", "unencrypted", id="in clear"),
        pytest.param("http://localhost.evil.example", "unencrypted", id="a name that begins like this machine"),
        pytest.param("http://10.0.0.1", "unencrypted", id="a private address is a network too"),
        pytest.param("https://user:hunter2@a.example", "name or password", id="password"),
        pytest.param("https://hunter2@a.example", "name or password", id="name"),
        pytest.param("http://localhost@evil.example", "name or password", id="host that looks like this machine"),
        pytest.param("a.example", "not an http", id="no scheme"),
        pytest.param("ftp://a.example", "not an http", id="another scheme"),
        pytest.param("https://", "not an http", id="no host"),
        pytest.param("https://a.example:99999", "not a URL", id="port"),
        pytest.param("https://[::1", "not a URL", id="bracket"),
        pytest.param("https://a.example?x=1", "leave out", id="query"),
        pytest.param("https://a.example#x", "leave out", id="fragment"),
        pytest.param("https://a.example/a b", "leave out", id="blank"),
    ],
)
def test_bad_addresses_are_refused_without_showing_a_password(url: str, why: str) -> None:
    with pytest.raises(BaseUrlError, match=why) as raised:
        checked_base_url(url)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(BaseUrlError, match=r"^PARALLEL_BASE_URL: "):
        base_url_from({"PARALLEL_BASE_URL": url})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("127.1", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_told_by_the_name_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("url", "version", "bare"),
    [
        pytest.param("https://api.parallel.ai/v1", "v1", "https://api.parallel.ai", id="version"),
        pytest.param("https://api.parallel.ai/v1beta/", "v1beta", "https://api.parallel.ai", id="beta"),
        pytest.param("http://127.0.0.1:8321/v1/tasks/runs", "v1", "http://127.0.0.1:8321", id="call"),
        pytest.param("https://proxy.example/parallel/v1", "v1", "https://proxy.example/parallel", id="proxy"),
    ],
)
def test_a_version_in_the_address_is_refused_with_the_address_without_it(url: str, version: str, bare: str) -> None:
    with pytest.raises(BaseUrlError, match=rf"names a version of the API \(/{version}\).*; leave it out: {bare}$"):
        base_url_from({"PARALLEL_BASE_URL": url})


def test_a_path_of_a_proxy_is_kept() -> None:
    assert checked_base_url("https://proxy.example/v2/parallel") == "https://proxy.example/v2/parallel"
