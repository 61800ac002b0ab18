"""Where the media and programs of the demo, the tests and the benchmarks come from, and under which licence."""

from __future__ import annotations

from benchmarks.photographs import SHIPPED

MEDIA = (
    ("demo", "photos, odd and broken files, Open Images lists", "made in code (`media_assets/demo`)", "the project's"),
    ("demo, benchmarks", "a portrait of Grace Hopper", "ships with matplotlib", "U.S. Navy, public domain"),
    ("tests", "pictures, hostile files, servers, lists", "made in code (`media_assets_tests`)", "the project's"),
    ("docs/img", "pictures of the demo and of Dagster's UI", "taken by the service tests", "the project's"),
    *(
        ("benchmarks", f"`{path}`", "ships with scikit-image or scikit-learn, fetched to measure", licence)
        for path, licence in SHIPPED.items()
    ),
    (
        "benchmarks",
        "img2dataset, daft, webdataset, torchcodec",
        "installed to measure, each apart",
        "MIT, Apache-2.0, BSD-3-Clause, BSD-3-Clause",
    ),
    (
        "benchmarks",
        "the ffmpeg program in imageio-ffmpeg",
        "fetched to measure, run as a program",
        "GPL-3.0-or-later",
    ),
    ("anywhere", "models and their weights", "none is used", "–"),
)
"""(where, what, where from, licence)."""
