"""A shelf of pictures and a batch over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media_assets_tests.media.pictures import make_jpeg, make_png, make_rgba, save
from media_assets_tests.shelf import Shelf
from media_assets_tests.stages.batches import Case, make_bench, write_manifest

SIZE = (96, 64)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """Four good pictures (one of them with alpha), a repeat, a truncated one, and one that is missing."""
    with Shelf() as server:
        server.files = {f"{i}.jpg": make_jpeg(i, SIZE) for i in range(3)}
        server.files["alpha.png"] = save(make_rgba(7, SIZE), "PNG")
        server.files["repeat.jpg"] = server.files["1.jpg"]
        server.files["cut.jpg"] = make_jpeg(9, SIZE)[:-300]
        server.files["plain.png"] = make_png(4, SIZE)
        yield server


KEYS = ("0.jpg", "1.jpg", "2.jpg", "alpha.png", "repeat.jpg", "cut.jpg", "plain.png", "missing.jpg")


@pytest.fixture
def make_case(tmp_path: Path, shelf: Shelf) -> Callable[[str], Case]:
    """Makes a lake in which the shelf is planned as one batch."""

    def make(name: str = "lake") -> Case:
        case = Case(make_bench(tmp_path / name))
        write_manifest(case.bench.lake, [{"item_key": key, "uri": f"{shelf.url}/{key}"} for key in KEYS])
        return case

    return make


@pytest.fixture
def case(make_case: Callable[[str], Case]) -> Case:
    """A lake in which the shelf is planned as one batch."""
    return make_case("lake")
