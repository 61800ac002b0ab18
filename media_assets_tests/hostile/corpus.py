"""The hostile corpus: every family's files, made from a seed and written as a folder that can be planned."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from media_assets_tests.hostile import bmffs, bmps, gifs, jpegs, markers, pngs, strangers, tiffs, webps
from media_assets_tests.hostile.specimens import Specimen

FAMILIES = (jpegs, pngs, webps, gifs, tiffs, bmps, bmffs, strangers, markers)
MAX_FILE_BYTES = 5_500_000


@cache
def corpus() -> dict[str, Specimen]:
    """Name → specimen. No two hold the same bytes, since the second would be a duplicate and not be opened."""
    found: dict[str, Specimen] = {}
    names: dict[bytes, str] = {}
    for family in FAMILIES:
        for specimen in family.specimens():
            assert specimen.name not in found, f"{specimen.name} is made twice"
            assert specimen.data not in names, f"{specimen.name} holds the bytes of {names[specimen.data]}"
            assert len(specimen.data) <= MAX_FILE_BYTES, f"{specimen.name} has {len(specimen.data)} bytes"
            found[specimen.name] = specimen
            names[specimen.data] = specimen.name
    return found


def write(specimens: dict[str, Specimen], folder: Path) -> None:
    """The files below a folder."""
    for specimen in specimens.values():
        path = folder / specimen.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(specimen.data)
