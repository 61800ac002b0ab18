"""`media-assets serve-uploads` and `upload-token`. Not here: the endpoint (`ingest/uploads/`)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from media_assets.cli_context import current_settings, json_option
from media_assets.cli_output import Output
from media_assets.errors import SetupError

if TYPE_CHECKING:
    from media_assets.defs.resources import Settings
    from media_assets.ingest.uploads.limits import UploadLimits
    from media_assets.ingest.uploads.server import UploadPlaces

_MIB = 1024 * 1024


@click.command("serve-uploads")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8010, show_default=True, help="0: any free one.")
@click.option("--public", "is_public", is_flag=True, help="Allow an address that other machines reach, without TLS.")
@json_option
def serve_uploads(host: str, port: int, is_public: bool, as_json: bool) -> None:
    """Take in uploads over HTTP, until Ctrl-C: whole files land in MEDIA_ASSETS_INBOX."""
    from media_assets.ingest.uploads.server import open_endpoint, open_socket, server_of

    output, settings = Output(as_json), current_settings()
    places = _places(settings)
    inbox = str(places.inbox) if isinstance(places.inbox, Path) else places.inbox.url
    with (
        open_endpoint(places, _limits(settings)) as endpoint,
        open_socket(host, port, is_public=is_public) as listening,
    ):
        url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
        facts = {"url": url, "inbox": inbox, "state": str(places.state_folder()), "tokens": len(endpoint.tokens)}
        output.document(facts)
        output.say(f"Uploads are taken in at {url} for {len(endpoint.tokens)} tokens, into {inbox}. Ctrl-C ends.")
        server = server_of(endpoint)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
            asyncio.run(server.serve(sockets=[listening]))
        if not server.started:
            raise SystemExit(1)


@click.command("upload-token")
@click.argument("name")
@click.option("--source", help="Folder of the inbox that its uploads go to; default: the name.")
@click.option("--mib-per-day", type=click.IntRange(0), help="Quota in MiB a day (UTC); default: none.")
@click.option("--files-per-day", type=click.IntRange(0), help="Quota in files a day (UTC); default: none.")
@click.option("--replace", is_flag=True, help="Make the token of that name useless, and another in its place.")
@json_option
def upload_token(
    name: str, source: str | None, mib_per_day: int | None, files_per_day: int | None, replace: bool, as_json: bool
) -> None:
    """Make a token for uploads. It is printed once; MEDIA_ASSETS_UPLOAD_TOKENS keeps its hash."""
    from media_assets.ingest.uploads.tokens import new_token, tokens_file

    output, path = Output(as_json), tokens_file(current_settings().upload_tokens)
    bytes_per_day = None if mib_per_day is None else mib_per_day * _MIB
    secret = new_token(path, name, source or name, bytes_per_day, files_per_day, replace=replace)
    output.document({"name": name, "source": source or name, "token": secret, "file": str(path)})
    if not as_json:
        click.echo(secret)
        click.echo(
            f"The token of {name!r}, shown this once. {path} keeps its hash; take it out there to revoke it.", err=True
        )


def _places(settings: Settings) -> UploadPlaces:
    from media_assets.ingest.uploads.server import UploadPlaces

    if not settings.inbox:
        raise SetupError("Expected MEDIA_ASSETS_INBOX to name the place that uploads go to, got nothing. Set it.")
    return UploadPlaces(settings.inbox_place(), settings.upload_tokens, settings.upload_state)


def _limits(settings: Settings) -> UploadLimits:
    from media_assets.ingest.uploads.limits import UploadLimits

    return UploadLimits(
        max_bytes=settings.max_item_mib * _MIB,
        n_in_flight=settings.uploads_at_once,
        expire_seconds=settings.upload_expire_hours * 3600.0,
    )
