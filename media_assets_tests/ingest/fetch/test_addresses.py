"""The pure judgement of URLs and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.errors import ErrorCode, ItemError, SetupError
from media_assets.ingest.fetch.addresses import AddressPolicy, judge_address, judge_url
from media_assets_tests.ingest.fetch.spellings import LOOPBACK_URLS, PRIVATE_ADDRESSES, PUBLIC_ADDRESSES

PUBLIC = AddressPolicy()
ANY_PORT = AddressPolicy(allowed_ports=None)
REFUSALS = {ErrorCode.URL_REFUSED, ErrorCode.ADDRESS_REFUSED}


def refusal(url: str, policy: AddressPolicy = PUBLIC) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        judge_url(url, policy)
    return caught.value.code


@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_url_is_refused_when_it_spells_a_loopback_address(url: str) -> None:
    assert refusal(url.format(port=8080), ANY_PORT) in REFUSALS


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_address_is_refused_when_it_is_not_public(address: str) -> None:
    with pytest.raises(ItemError) as caught:
        judge_address(address, ANY_PORT)
    assert caught.value.code is ErrorCode.ADDRESS_REFUSED


@pytest.mark.parametrize("address", [each for each in PRIVATE_ADDRESSES if "%" not in each])
def test_url_is_refused_when_its_host_is_an_address_that_is_not_public(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert refusal(f"http://{host}/") is ErrorCode.ADDRESS_REFUSED


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_address_is_taken_when_it_is_public(address: str) -> None:
    judge_address(address, PUBLIC)
    judge_url(f"https://[{address}]/" if ":" in address else f"https://{address}/", PUBLIC)


@pytest.mark.parametrize("garbage", ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "0x7f000001", "127.1"])
def test_address_is_refused_when_a_resolver_gives_something_else(garbage: str) -> None:
    with pytest.raises(ItemError):
        judge_address(garbage, ANY_PORT)


@pytest.mark.parametrize(
    "url",
    [
        "https://storage.example.com/a/b%20c.jpg?X-Signature=a%2Fb+c",
        "http://ex-ample.co.uk:8080/",
        "https://under_score.example.com/",
        "http://xn--bcher-kva.example/",
        "https://example.com.",
        "http://1and1.com/",
        "http://example.0x.com/",
    ],
)
def test_url_is_kept_byte_for_byte_when_it_is_plain_ascii(url: str) -> None:
    assert str(judge_url(url, PUBLIC)) == url


def test_url_is_quoted_when_it_holds_spaces_or_other_letters() -> None:
    parsed = judge_url("http://bücher.example/Straße 1.jpg?q=ä", PUBLIC)
    assert str(parsed) == "http://xn--bcher-kva.example/Stra%C3%9Fe%201.jpg?q=%C3%A4"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/a.jpg",
        "file:///etc/passwd",
        "ftp://example.com/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://@example.com/",
        "http://example.com:0/",
        "http://example.com:22/",
        "http://example.com:65536/",
        "http://example.com:99999/",
        "http://example.com:8o/",
        "http://example.com:８０/",
        "http://example.com:-1/",
        "http://example.com:80:80/",
        "http://exa mple.com/",
        "http://example.com\\.evil.com/",
        "http://example..com/",
        "http://.example.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "http://example.com/\x00",
        "http://example.com/\r\nHost: other",
        "http://example.com/\ud800",
        "http://[example.com]/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[v1.a]/",
        "http://example.com／@evil.com/",
        "http://exa*mple.com/",
        "http://example.com/" + "a" * 8_000,
    ],
)
def test_url_is_refused_when_it_is_not_a_plain_http_url(url: str) -> None:
    assert refusal(url) is ErrorCode.URL_REFUSED


def test_loopback_is_taken_with_any_port_when_its_network_is_opened() -> None:
    policy = AddressPolicy(allowed_networks=("127.0.0.0/8",))
    for url in ("http://127.0.0.1:41234/", "http://[::ffff:127.0.0.1]:41234/"):
        judge_url(url, policy)
    assert refusal("http://10.0.0.1/", policy) is ErrorCode.ADDRESS_REFUSED
    assert refusal("http://[::1]/", policy) is ErrorCode.ADDRESS_REFUSED
    assert refusal("http://127.1/", policy) is ErrorCode.ADDRESS_REFUSED
    assert refusal("http://8.8.8.8:22/", policy) is ErrorCode.URL_REFUSED


def test_port_of_a_name_is_judged_with_its_address_when_networks_are_opened() -> None:
    policy = AddressPolicy(allowed_networks=("127.0.0.0/8",))
    judge_url("http://localhost:41234/", policy)
    judge_url("http://camera.example:41234/", policy)
    judge_address("127.0.0.1", policy, port=41234)
    with pytest.raises(ItemError) as caught:
        judge_address("8.8.8.8", policy, port=41234)
    assert caught.value.code is ErrorCode.URL_REFUSED


def test_policy_is_refused_when_a_network_is_misspelt() -> None:
    with pytest.raises(SetupError, match=r"10\.0\.0\.0/8"):
        AddressPolicy(allowed_networks=("127.0.0.1/8",))


def test_message_never_holds_credentials_or_queries_when_a_url_is_refused() -> None:
    for url in ("http://me:hunter2@127.0.0.1/a?token=hunter2", "gopher://me:hunter2@h/?hunter2#hunter2"):
        with pytest.raises(ItemError) as caught:
            judge_url(url, PUBLIC)
        assert "hunter2" not in str(caught.value)


_HOSTILE_PARTS = st.sampled_from(
    [
        "http://",
        "https://",
        "127.0.0.1",
        "0x7f",
        "1",
        ".",
        "[",
        "]",
        "::1",
        "%",
        "@",
        ":",
        "/",
        "\\",
        "?",
        "#",
        "localhost",
        "example.com",
        "80",
        "８０",
        "。",
        "①",
        "xn--",
        "xn--a",
        "\u202e",
        "ß",
        "//",
        "é",
        "\t",
        "\n",
        "\ud800",
        " ",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(_HOSTILE_PARTS, max_size=12).map("".join)).map(lambda tail: f"http://{tail}"))
def test_judgement_is_a_url_or_one_of_two_codes_when_the_text_is_anything(url: str) -> None:
    try:
        parsed = judge_url(url, ANY_PORT)
    except ItemError as caught:
        refused = caught.code
    else:
        refused = None
        assert parsed.scheme in {"http", "https"}
        assert parsed.raw_host
        assert parsed.raw_host.isascii()
        assert parsed.host  # punycode that is none would raise only here, in the middle of a fetch
        assert parsed.raw_user is None
        assert str(judge_url(str(parsed), ANY_PORT)) == str(parsed)
    assert refused in REFUSALS | {None}


@settings(deadline=None)
@given(st.ip_addresses())
def test_judgement_is_never_milder_when_an_address_is_wrapped(address: object) -> None:
    text = str(address)
    if ":" in text or _is_public(text):
        return
    for wrapped in (f"::ffff:{text}", f"64:ff9b::{text}", f"::{text}", f"2606:4700::5efe:{text}"):
        assert not _is_public(wrapped)


def _is_public(address: str) -> bool:
    try:
        judge_address(address, ANY_PORT)
    except ItemError:
        return False
    return True
