"""Nothing private is ever connected to: a listener on loopback must count zero, however it is spelt or reached."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from media_assets.errors import ErrorCode
from media_assets.ingest.fetch import addresses, downloader
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.fetch_all import Fetched
from media_assets_tests.ingest.fetch.hostile_server import Exchange, HostileServer, Tripwire
from media_assets_tests.ingest.fetch.running import PUBLIC_ANY_PORT, QUICK, code, failed, run
from media_assets_tests.ingest.fetch.spellings import LOOPBACK_URLS

REFUSALS = {ErrorCode.URL_REFUSED, ErrorCode.ADDRESS_REFUSED}


@pytest.fixture(scope="module")
def tripwire() -> Iterator[Tripwire]:
    with Tripwire() as wire:
        yield wire


class ScriptedResolver(AbstractResolver):
    """Answers from a script: the first question gets the first list of addresses, and so on; the last one repeats."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.n_asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers[min(self.n_asked, len(self._answers) - 1)]
        self.n_asked += 1
        return [ResolveResult(hostname=host, host=a, port=port, family=0, proto=0, flags=0) for a in addresses]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("url", LOOPBACK_URLS)
def test_tripwire_counts_nothing_when_loopback_is_spelt(url: str, tripwire: Tripwire) -> None:
    before = tripwire.n_connections
    assert code(url.format(port=tripwire.port), policy=PUBLIC_ANY_PORT) in REFUSALS
    assert tripwire.n_connections == before


@pytest.mark.parametrize("url", [url for url in LOOPBACK_URLS if not set(url) & {"\r", "\n"}])
def test_tripwire_counts_nothing_when_a_redirect_spells_loopback(url: str, tripwire: Tripwire) -> None:
    before = tripwire.n_connections
    target = url.format(port=tripwire.port)
    # Only the redirecting server's own address is open, so that everything else is judged as by default.
    policy = AddressPolicy(allowed_networks=("127.9.9.9/32",), allowed_ports=None)
    with RedirectingServer(target) as server:
        found = failed(f"http://127.9.9.9:{server.port}/", policy=policy)
    assert server.hits["/"] == 1
    # A target without a scheme is relative: it leads back to the same, open server, and ends there.
    assert found.error.code in REFUSALS | {ErrorCode.NOT_FOUND}
    assert tripwire.n_connections == before


class RedirectingServer(HostileServer):
    """On 127.9.9.9; redirects `/` to a target."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._socket.close()
        self._socket = socket.create_server(("127.9.9.9", 0))
        self.port = self._socket.getsockname()[1]

        @self.route("/")
        async def redirect(exchange: Exchange) -> None:
            await exchange.send(
                b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target.encode() + b"\r\n\r\n"
            )


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "64:ff9b::7f00:1", "0.0.0.0"])
@pytest.mark.parametrize("others", [[], ["93.184.215.14"], ["2606:4700::1111", "93.184.215.14"]])
def test_host_is_refused_when_one_of_its_addresses_is_private(
    private: str, others: list[str], tripwire: Tripwire
) -> None:
    before = tripwire.n_connections
    for answer in ([private, *others], [*others, private]):
        resolver = ScriptedResolver(answer)
        url = f"http://rebind.example:{tripwire.port}/"
        found = failed(url, policy=PUBLIC_ANY_PORT, resolver=lambda resolver=resolver: resolver)
        assert found.error.code is ErrorCode.ADDRESS_REFUSED
        assert "rebind.example" in found.error.message
        assert resolver.n_asked == 1
    assert tripwire.n_connections == before


def test_rebinding_reaches_nothing_when_the_second_answer_is_private(tripwire: Tripwire) -> None:
    # 127.9.9.9 plays the public address: it alone is open. The name's second answer is the tripwire's.
    resolver = ScriptedResolver(["127.9.9.9"], ["127.0.0.1"])
    policy = AddressPolicy(allowed_networks=("127.9.9.9/32",), allowed_ports=None)
    before = tripwire.n_connections
    limits = replace(QUICK, idle_seconds=0.2, max_attempts=2)
    with socket.create_server(("127.9.9.9", tripwire.port)) as listener:  # takes connections, never answers
        url = f"http://rebind.example:{tripwire.port}/"
        found = failed(url, policy=policy, resolver=lambda: resolver, limits=limits)
        listener.settimeout(1)
        listener.accept()[0].close()  # the address that was judged is the one that was connected to
    assert found.error.code in REFUSALS | {ErrorCode.TIMEOUT}
    assert tripwire.n_connections == before


def test_second_answer_is_judged_when_a_name_is_resolved_anew() -> None:
    resolver = ScriptedResolver(["127.9.9.9"], ["127.0.0.1"])
    policy = AddressPolicy(allowed_networks=("127.9.9.9/32",), allowed_ports=None)
    outcomes, _ = run(["http://one.example:9/", "http://two.example:9/"], policy=policy, resolver=lambda: resolver)
    assert {outcome.error.code for outcome in outcomes} == {  # type: ignore[union-attr]
        ErrorCode.CONNECTION_FAILED,
        ErrorCode.ADDRESS_REFUSED,
    }


# ---- the test of the tests: with the judgement off, the same tripwire counts

PLAIN_URLS = ["http://127.0.0.1:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://localhost:{port}/"]


@pytest.mark.parametrize("url", PLAIN_URLS)
def test_tripwire_counts_when_the_judgement_is_switched_off(
    url: str, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_why_not_global", lambda address: None)
    before = tripwire.n_connections
    (outcome,), _ = run([url.format(port=tripwire.port)], policy=PUBLIC_ANY_PORT)
    assert isinstance(outcome, Fetched)
    assert tripwire.n_connections == before + 1


@pytest.mark.parametrize("url", [PLAIN_URLS[0], PLAIN_URLS[1]])
def test_socket_is_still_judged_when_the_url_is_not(
    url: str, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An HTTP client never asks its resolver about an address: without this last judgement, the URL's is the only one.
    monkeypatch.setattr(downloader.addresses, "judge_url", lambda uri, policy: downloader.URL(uri))
    before = tripwire.n_connections
    assert code(url.format(port=tripwire.port), policy=PUBLIC_ANY_PORT) is ErrorCode.ADDRESS_REFUSED
    assert tripwire.n_connections == before
