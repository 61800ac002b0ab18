"""A secret in every place where one can enter, taken through the command line; and where each turned up afterwards.

In this process, so that a test can break what keeps them out of sight.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from media_assets.cli import main
from media_assets_tests.chaos.children import workers_of
from media_assets_tests.hostile.unpacking import contents
from media_assets_tests.ingest.fetch.hostile_server import Exchange, HostileServer
from media_assets_tests.ingest.open_images_files import OpenImagesFiles, Row, image_id
from media_assets_tests.media.pictures import make_jpeg

PLACES = (
    *("query", "password", "redirect-query", "redirect-password", "base-query", "base-password", "template"),
    *("proxy", "dead-proxy", "bad-proxy", "aws-key", "aws-token", "unknown-variable", "alert"),
)
CANARIES = {place: f"canary-{place}-5e7c1d" for place in PLACES}
IN_MANIFEST = frozenset({CANARIES["query"], CANARIES["password"]})
"""What `ingest/manifest.uri` holds on purpose: bytes are asked for with it."""

HOST = "127.9.9.9"
PROXY_HOST = "127.9.9.8"


@dataclass
class Story:
    """One lake with its Dagster home below a folder, the server that it fetches from, and all that was printed."""

    root: Path
    server: HostileServer
    printed: list[str] = field(default_factory=list)

    def environment(self, proxy: str = "", n_workers: int = 0) -> dict[str, str]:
        """The variables of every command, secrets among them."""
        return {
            "MEDIA_ASSETS_LAKE": str(self.root / "lake"),
            "DAGSTER_HOME": str(self.root / "dagster_home"),
            "MEDIA_ASSETS_WORKERS": str(n_workers),
            "MEDIA_ASSETS_ALLOWED_NETWORKS": f"{HOST}/32",
            "MEDIA_ASSETS_TENSOR_SPECS": '[{"size": [16, 16], "resize_shorter_px": 16}]',
            "MEDIA_ASSETS_PROXY": proxy,
            "MEDIA_ASSETS_ALERT_URLS": f"json://user:{CANARIES['alert']}@{HOST}:1/{CANARIES['alert']}",
            "MEDIA_ASSETS_SOMETHING_ELSE": CANARIES["unknown-variable"],
            "AWS_ACCESS_KEY_ID": "AKIA0000000000000000",
            "AWS_SECRET_ACCESS_KEY": CANARIES["aws-key"],
            "AWS_SESSION_TOKEN": CANARIES["aws-token"],
            "TMPDIR": str(self.root / "tmp"),
        }

    def run(self, *arguments: str, code: int = 0, proxy: str = "", n_workers: int = 0) -> str:
        """A command as a user types it; what it printed. Raises AssertionError for another exit code."""
        result = CliRunner().invoke(main, arguments, env=self.environment(proxy, n_workers), catch_exceptions=False)
        self.printed.append(result.stdout + result.stderr)
        assert result.exit_code == code, f"{arguments}: {result.exit_code}: {self.printed[-1]}"
        return self.printed[-1]

    def run_and_die(self, point: str, number: int, *arguments: str) -> None:
        """The same in a process of its own that is killed at a named point."""
        command = [sys.executable, "-m", "media_assets_tests.chaos.dying_cli", point, str(number), "run", *arguments]
        environment = os.environ | self.environment()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
        self.printed.append(done.stdout + done.stderr)
        assert done.returncode == -signal.SIGKILL, self.printed[-1]

    def found(self, also_printed: str = "") -> list[str]:
        """Every place where a secret turned up that must not be there, as `place: secret`."""
        wanted = {text.encode(): text for text in CANARIES.values()}
        for text in CANARIES.values():  # as a header has it
            wanted[base64.b64encode(f"user:{text}".encode())] = f"{text} in base64"
        found = []
        for place, content in self._left_behind(also_printed):
            is_manifest = place == "lake/ingest/manifest uri"
            found += [
                f"{place}: {shown}"
                for marker, shown in wanted.items()
                if marker in content and not (is_manifest and shown in IN_MANIFEST)
            ]
        return sorted(set(found))

    def places(self, text: bytes) -> list[str]:
        """Every place where some text is."""
        return [place for place, content in self._left_behind("") if text in content]

    def _left_behind(self, also_printed: str) -> Iterator[tuple[str, bytes]]:
        for number, text in enumerate((*self.printed, also_printed)):
            yield f"printed by command {number}", text.encode()
        manifest = self.root / "lake" / "ingest" / "manifest"
        for path in sorted(self.root.rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            for part, content in contents(path):
                if manifest not in path.parents:
                    yield f"{path.relative_to(self.root)} {part}".rstrip(), content
                elif part:  # the files of this table and its log hold the one column
                    yield f"lake/ingest/manifest {part}", content


def serve(server: HostileServer) -> list[str]:
    """Give a server an answer of each kind; the paths, one for each item of the list."""
    port, secret = server.port, CANARIES["redirect-query"]
    redirects = (
        f"http://{HOST}:{port}/good?sig={secret}",
        f"http://{HOST}:{port}/not-there?sig={secret}",
        f"http://user:{CANARIES['redirect-password']}@{HOST}:{port}/good",
        f"http://10.1.2.3/?sig={secret}",
        f"https://{HOST}:{port}/?sig={secret}",
        f"http://nobody.invalid/?sig={secret}",
        f"http://[?sig={secret}",
        f"ftp://{HOST}/?sig={secret}",
    )

    async def good(exchange: Exchange) -> None:
        await exchange.object(make_jpeg(zlib.crc32(exchange.path.encode()) % 1000, (32, 24)))

    async def cut(exchange: Exchange) -> None:
        await exchange.reply(200, make_jpeg(7, (32, 24))[:300])

    async def reset(exchange: Exchange) -> None:
        exchange.reset()

    async def garbage(exchange: Exchange) -> None:
        await exchange.send(b"SMTP ready\r\n\r\n")
        exchange.close()

    async def killing(exchange: Exchange) -> None:
        """The decoders are killed while this is under way."""
        for pid in workers_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        await exchange.object(make_jpeg(8, (32, 24)))

    def status(code: int) -> object:
        async def answer(exchange: Exchange) -> None:
            await exchange.reply(code, b"no")

        return answer

    def redirect(target: str) -> object:
        async def answer(exchange: Exchange) -> None:
            await exchange.reply(302, Location=target)

        return answer

    answers = [good, cut, reset, garbage, killing, *map(status, (401, 404, 429, 503)), *map(redirect, redirects)]
    paths = [f"/{image_id(number)}" for number in range(len(answers))]
    for path, answer in zip(paths, answers, strict=True):
        server.routes[path] = answer  # type: ignore[assignment]
        server.routes[server.url(path)] = answer  # type: ignore[assignment]  # as a proxy is asked
    server.routes["/good"] = good
    return paths


def write_lists(folder: Path, n_images: int) -> Path:
    """Image lists of three splits."""
    for split in ("validation", "test", "train"):
        name = {"train": "train-images-boxable-with-rotation.csv"}.get(split)
        rows = [Row(image_id(number), subset=split) for number in range(n_images if split == "validation" else 3)]
        OpenImagesFiles(folder, split).images(rows, name)
    return folder
