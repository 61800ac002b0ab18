"""Hostile servers and addresses through planning and `materialize`, with a canary that nobody may touch.

Real path: a list is planned and its batches are materialized by Dagster, decoding in a pool of confined workers. Two
things are put in place of the real ones, since they are no setting: shorter time limits, and a resolver that lies.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from aiohttp.abc import AbstractResolver, ResolveResult

from benchmarks.process_tree import ProcessTree
from media_assets.defs import resources
from media_assets.defs.partitions import PartitionRegistry
from media_assets.defs.resources import Settings, dagster_home, open_instance
from media_assets.defs.runs import Launcher
from media_assets.ingest.fetch import fetch_all
from media_assets.ingest.fetch.addresses import AddressPolicy
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.ingest.planned import PlannedItem
from media_assets.ingest.planning import plan_batches
from media_assets.lake.delta import Provenance
from media_assets.stages.stage import IMAGE_STAGES
from media_assets.tables.columns import Kind
from media_assets_tests.hostile.http_behaviours import (
    OK,
    REFUSED,
    Fates,
    behaviours,
    failed,
    head,
    picture,
    raw,
    servers,
)
from media_assets_tests.hostile.site import SPECS, HostileSite
from media_assets_tests.ingest.fetch.hostile_server import HostileServer, Tripwire
from media_assets_tests.ingest.fetch.spellings import LOOPBACK_URLS, PRIVATE_ADDRESSES

TOTAL_SECONDS, IDLE_SECONDS = 2.5, 0.8
LIMITS = {
    "max_bytes": 4 * 2**20,
    "connect_seconds": 1.0,
    "idle_seconds": IDLE_SECONDS,
    "total_seconds": TOTAL_SECONDS,
    "max_attempts": 3,
    "backoff_seconds": 0.01,
    "max_backoff_seconds": 1.0,
    "n_connections_per_host": 64,
}
OPEN_NETWORKS = "127.9.9.9/32"
_DIRECT = {
    "file": "file:///etc/hostname",
    "file-up": "file:///tmp/../etc/hostname",
    "file-on-a-host": "file://example.com/etc/hostname",
    "data": "data:image/jpeg;base64,/9j/4AAQSkZJRg==",
    "javascript": "javascript:alert(1)",
    "s3": "s3://bucket/key",
    "nothing": "x",
    "zeros": "http://127.9.9.9/\0",
    "line-ends": "http://127.9.9.9/\r\nHost: example.com\r\n\r\n",
    "very-long": "http://127.9.9.9/" + "a" * 9000,
    "right-to-left": "http://\u202e127.0.0.1/",
    "punycode": "http://xn--/",
    "user-info": "http://user:secret@127.9.9.9/",
}


@dataclass(frozen=True)
class Case:
    """One item: where its bytes are said to be, and what may become of it."""

    name: str
    uri: str
    fates: Fates


class LyingResolver(AbstractResolver):
    """Answers by name: `address.N.example` is the N-th private address, `rebind.example` moves to the canary."""

    n_asked: ClassVar[Counter[str]] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host."""
        LyingResolver.n_asked[host] += 1
        kind, _, rest = host.partition(".")
        if kind == "nowhere":
            raise OSError(None, "no such name")
        if kind == "silent":
            await asyncio.sleep(60)
        if kind == "address":
            answers = [PRIVATE_ADDRESSES[int(rest.partition(".")[0])]]
        elif kind == "mixed":
            answers = ["127.9.9.9", "127.0.0.1"]
        elif kind == "empty":
            answers = []
        elif kind == "nonsense":
            answers = ["not an address"]
        elif kind == "rebind":  # the second answer is the canary's
            answers = ["127.9.9.9"] if LyingResolver.n_asked[host] == 1 else ["127.0.0.1"]
        else:
            answers = ["127.9.9.9"]
        return [ResolveResult(hostname=host, host=a, port=port, family=0, proto=0, flags=0) for a in answers]

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class HttpRun:
    """What became of every behaviour."""

    site: HostileSite
    cases: list[Case]
    fates: dict[str, str]
    canary_hits: int
    seconds: float
    grown_bytes: int

    @property
    def wrong(self) -> dict[str, str]:
        """Behaviours with a fate that their items may not have."""
        return {
            case.name: f"{self.fates.get(case.name, 'no status')}, expected {' or '.join(sorted(case.fates))}"
            for case in self.cases
            if self.fates.get(case.name, "") not in case.fates
        }

    @property
    def held(self) -> dict[str, bool]:
        """What is promised of every behaviour."""
        return {
            "every behaviour met its fate": not self.wrong,
            "nobody touched the canary": self.canary_hits == 0,
        }

    def summary(self) -> dict[str, Any]:
        """The figures of the run."""
        return {
            "behaviours": len(self.cases),
            "wrong": len(self.wrong),
            "canary_hits": self.canary_hits,
            "fates": dict(sorted(Counter(self.fates.values()).items())),
            "seconds": round(self.seconds, 1),
            "grown_mb": round(self.grown_bytes / 2**20),
            "details": {"wrong": self.wrong},
        }


def run_http(root: Path, n_workers: int = 1) -> HttpRun:
    """Plan and materialize every behaviour, spelling and address as one batch below a folder."""
    routes = list(behaviours(TOTAL_SECONDS))
    made = servers(routes)
    with ExitStack() as stack:
        canary = stack.enter_context(Tripwire("127.1.2.3"))
        for server in made.values():
            stack.enter_context(server)
        cases = [Case(b.name, made[b.server].url(f"/{b.name}"), b.fates) for b in routes]
        cases += _addressed(made["main"], canary)
        tree = stack.enter_context(ProcessTree(os.getpid(), interval_seconds=0.1))
        started = time.monotonic()
        _materialize(root, cases, n_workers)
        seconds = time.monotonic() - started
    site = HostileSite(root / "site")
    grown = tree.peak_bytes - min(tree.samples_bytes, default=0)
    return HttpRun(site, cases, site.fates(), canary.n_connections, seconds, grown)


def _addressed(server: HostileServer, canary: Tripwire) -> list[Case]:
    """Every spelling of a private address, asked for directly, by name, and by redirect."""
    cases = [Case(f"direct-{name}", uri, REFUSED) for name, uri in _DIRECT.items()]
    for number, spelt in enumerate(LOOPBACK_URLS):
        uri = spelt.format(port=canary.port)
        cases.append(Case(f"spelling-{number}", uri, REFUSED))
        if "\r" in uri or "\n" in uri:
            continue  # a header ends there: it would be another target
        path = f"/redirects-to-{number}"
        server.routes[path] = raw(_redirect(uri), is_closed=False)
        # a target without a scheme is relative: it leads back to the same, open server, and ends there
        cases.append(Case(f"redirect-to-spelling-{number}", server.url(path), REFUSED | failed("not_found")))
    for number, address in enumerate(PRIVATE_ADDRESSES):
        host = f"[{address}]" if ":" in address else address
        cases.append(Case(f"address-{number}", f"http://{host}:{canary.port}/", REFUSED))
        cases.append(Case(f"name-of-address-{number}", f"http://address.{number}.example:{canary.port}/", REFUSED))
    port = server.port
    server.routes["/named"] = raw(head(None) + picture(90))
    server.routes["/rebound"] = raw(head(None) + picture(91))
    server.routes["/mapped"] = raw(head(None) + picture(92))
    server.routes["/to-rebound"] = raw(_redirect(f"http://rebind.two.example:{canary.port}/"), is_closed=False)
    return [
        *cases,
        Case("named", f"http://good.example:{port}/named", OK),
        Case("mapped", f"http://[::ffff:127.9.9.9]:{port}/mapped", OK),
        Case("rebinding", f"http://rebind.one.example:{port}/rebound", OK | REFUSED),
        # nobody listens at this port of the address that was judged: it is that one, not the canary, that is tried
        Case("rebinding-by-redirect", server.url("/to-rebound"), REFUSED | failed("connection_failed")),
        Case("mixed-answers", f"http://mixed.example:{canary.port}/", REFUSED),
        Case("no-such-name", f"http://nowhere.example:{port}/", failed("dns_failed")),
        Case("silent-resolver", f"http://silent.example:{port}/", failed("dns_failed", "too_slow")),
        Case("no-addresses", f"http://empty.example:{port}/", failed("dns_failed")),
        Case("nonsense-address", f"http://nonsense.example:{port}/", REFUSED | failed("dns_failed")),
        Case("tls-to-a-plain-port", f"https://127.9.9.9:{port}/plain", failed("tls_failed")),
        Case("nobody-listens", f"http://127.9.9.9:{canary.port}/", failed("connection_failed")),
    ]


def _redirect(uri: str) -> bytes:
    return b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + uri.encode() + b"\r\n\r\n"


def _materialize(root: Path, cases: list[Case], n_workers: int) -> None:
    lake = root / "site" / "lake"
    settings = Settings(lake=str(lake), n_workers=n_workers, tensor_specs=SPECS, allowed_networks=OPEN_NETWORKS)
    items = [PlannedItem(item_key=case.name, uri=case.uri, kind=Kind.IMAGE) for case in cases]
    with dagster_home(root / "site" / "dagster_home"), open_instance(settings) as instance, _shortened():
        plan = plan_batches(
            settings.open_lake(),
            PartitionRegistry(instance),
            source="list",
            name="list.hostile",
            items=items,
            provenance=Provenance("plan", "1"),
        )
        assert (plan.n_planned, plan.n_rejected) == (len(cases), 0)
        for result in Launcher(settings, instance).materialize(plan.batch_ids, IMAGE_STAGES):
            assert result.success, result.error


@contextmanager
def _shortened() -> Iterator[None]:
    """Limits that fail fast, a resolver that lies, and any port: no spelling is refused for its port alone."""
    with (
        mock.patch.object(resources, "FetchLimits", lambda **given: FetchLimits(**given | LIMITS)),
        mock.patch.object(resources, "AddressPolicy", partial(AddressPolicy, allowed_ports=None)),
        mock.patch.object(fetch_all.aiohttp, "DefaultResolver", LyingResolver),
    ):
        LyingResolver.n_asked.clear()
        yield
