"""`media-assets doctor`: is this machine, store and configuration fit.

Not here: the store's own checks (`lake/fitness.py`). Each check says what it found, and what to do about it.
"""

from __future__ import annotations

import io
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from PIL import Image

from media_assets.defs.resources import Settings, open_instance
from media_assets.engine.cores import n_usable_cores
from media_assets.engine.tasks import Work
from media_assets.errors import MediaAssetsError
from media_assets.ingest.fetch.buckets import BucketRoot
from media_assets.ingest.inbox.bucket import list_bucket
from media_assets.ingest.inbox.folder import list_folder
from media_assets.lake.fitness import Verdict, examine
from media_assets.media.still import StillRequest
from media_assets.stages.predicting import try_models
from media_assets.stages.reading import READ_ITEM

_PROBED = (
    "dagster",
    "deltalake",
    "polars",
    "pillow",
    "simplejpeg",
    "opencv-python-headless",
    "duckdb",
    "obstore",
)

_PYTHONS = (3, 11), (3, 13)
"""The oldest and the newest Python, as in `pyproject.toml`."""


def examine_all(settings: Settings) -> Iterator[Verdict]:
    """Every check, in the order in which trouble would be met."""
    yield _versions()
    yield _one_opencv()
    yield _checked("configuration is readable", lambda: _configuration(settings))
    yield _checked("those to tell of failures are known", lambda: _alerts(settings))
    yield _checked("decoders open a picture in the sandbox", lambda: _sandbox(settings))
    yield _checked("formats can be decoded", _formats)
    if settings.models:
        yield _checked("models answer", lambda: _models(settings))
    try:
        location = settings.location()
    except MediaAssetsError as error:
        yield Verdict("lake's path is usable", False, str(error), "Set MEDIA_ASSETS_LAKE to another path.")
        return
    yield from examine(location)
    yield _checked("Dagster instance opens", lambda: _instance(settings))
    if settings.inbox:
        yield _checked("inbox can be listed", lambda: _inbox(settings))


def _versions() -> Verdict:
    found = ", ".join(f"{name} {version(name)}" for name in _PROBED)
    fits = _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]
    return Verdict(
        "Python and packages",
        fits,
        f"Python {platform.python_version()}, {n_usable_cores()} cores; {found}",
        "Use Python {}.{} to {}.{}.".format(*_PYTHONS[0], *_PYTHONS[1]),
    )


def _one_opencv() -> Verdict:
    """Two OpenCV packages overwrite each other's files and the last one unpacked wins."""
    try:
        other = version("opencv-python")
    except PackageNotFoundError:
        return Verdict("only one OpenCV is installed", True, f"headless {version('opencv-python-headless')}")
    return Verdict(
        "only one OpenCV is installed",
        False,
        f"opencv-python {other} beside opencv-python-headless {version('opencv-python-headless')}",
        "pip uninstall opencv-python opencv-python-headless, then install the project again.",
    )


def _configuration(settings: Settings) -> Verdict:
    names = ", ".join(spec.name for spec in settings.specs())
    settings.check()
    fetch = settings.fetch()
    opened = ", ".join(fetch.policy.allowed_networks) or "public addresses only"
    return Verdict("configuration is readable", True, f"lake {settings.location().root}; {names}; network: {opened}")


def _alerts(settings: Settings) -> Verdict:
    names = ", ".join(each.name for each in settings.alert_destinations())
    told = names or "nobody is told: MEDIA_ASSETS_ALERT_URLS is not set"
    return Verdict("those to tell of failures are known", True, told)


def _sandbox(settings: Settings) -> Verdict:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 127, np.uint8)).save(buffer, "PNG")
    work = Work("probe", buffer.getvalue(), StillRequest(specs=settings.specs()))
    engine = settings.engine()
    with closing(engine.map_items(READ_ITEM, [work])) as outcomes:
        (outcome,) = list(outcomes)
    detail = type(engine).__name__ if outcome.error is None else str(outcome.error)
    return Verdict(
        "decoders open a picture in the sandbox", outcome.error is None, detail, "Install the project again."
    )


def _models(settings: Settings) -> Verdict:
    models = settings.installed_models()
    try_models(settings.engine(), models)
    return Verdict("models answer", True, ", ".join(model.name for model in models))


def _formats() -> Verdict:
    import av
    from PIL import features

    try:
        import pillow_heif
    except ImportError:
        heic = "HEIC is not opened: pillow-heif is not installed"
    else:
        heic = f"HEIC by libheif {pillow_heif.libheif_version()}"
    missing = [name for name in ("webp", "avif", "jpg", "zlib", "libtiff") if not features.check(name)]
    detail = f"JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF by Pillow; {heic}; video by FFmpeg {av.ffmpeg_version_info}"
    if missing:
        detail = f"Pillow lacks {', '.join(missing)}"
    return Verdict("formats can be decoded", not missing, detail, "Install Pillow from its wheel.")


def _instance(settings: Settings) -> Verdict:
    with open_instance(settings) as instance:
        n_batches = len(instance.get_dynamic_partitions("batches"))
        return Verdict("Dagster instance opens", True, f"{instance.root_directory}: {n_batches} batches registered")


def _inbox(settings: Settings) -> Verdict:
    place = settings.inbox_place()
    if isinstance(place, BucketRoot):
        found = list_bucket(place, None, time.time(), n_pages=1).listing()
        told = f"{place.url}: {'something' if any(True for _ in found) else 'nothing'} lies there"
    else:
        is_there = next(list_folder(place), None) is not None if place.is_dir() else False
        told = f"{place}: {'something lies there' if is_there else 'nothing lies there, or it is made when looked at'}"
    return Verdict("inbox can be listed", True, told, "Correct MEDIA_ASSETS_INBOX.")


def _checked(check: str, verdict: Callable[[], Verdict]) -> Verdict:
    """A check that could not even run did not pass."""
    try:
        return verdict()
    except Exception as error:  # whatever a broken machine throws is a finding, not a crash
        return Verdict(check, False, f"{type(error).__name__}: {error}", "Mend what the message names, then try again.")
