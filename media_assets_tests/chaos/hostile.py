"""`hostile`: every hostile file and every hostile server through the whole path (`make hostile` runs them alone)."""

from __future__ import annotations

from pathlib import Path

from media_assets_tests.chaos.result import Options, Result, say
from media_assets_tests.hostile.corpus import corpus
from media_assets_tests.hostile.folder_run import run_folder
from media_assets_tests.hostile.http_run import run_http

MAX_SECONDS = 900


def run(folder: Path, options: Options) -> Result:
    """The files as one batch, then the servers as another; `small` takes each tenth file."""
    result = Result("hostile", options.seed)
    specimens = corpus()
    if options.small:
        specimens = {name: specimens[name] for name in sorted(specimens)[::10]}
    files = run_folder(specimens, folder / "files", MAX_SECONDS)
    say(f"hostile: {len(specimens)} files")
    servers = run_http(folder / "servers")
    say(f"hostile: {len(servers.cases)} behaviours of servers")
    for what, holds in (files.held | servers.held).items():
        result.promise(what, holds=holds, case=str(files.wrong | servers.wrong)[:500])
    result.faults = len(specimens) + len(servers.cases)
    result.lost = len(files.silent)
    result.figures = {
        "files": len(specimens),
        "behaviours": len(servers.cases),
        "wrong": len(files.wrong) + len(servers.wrong),
        "silent": len(files.silent),
        "traces": len(files.traces),
        "canary_hits": servers.canary_hits,
    }
    result.detail = {"files": files.summary(), "servers": servers.summary()}
    return result
