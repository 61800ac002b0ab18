"""Plans as the command line starts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets.defs.plans import plan_open_images
from media_assets.defs.resources import Settings
from media_assets.errors import PlanRefused
from media_assets.ingest.open_images.image_rows import IMAGE_COLUMNS
from media_assets_tests.shelf import Shelf

LIST = "validation-images-with-rotation.csv"


def image_list(*numbers: int) -> bytes:
    lines = [",".join(IMAGE_COLUMNS)]
    lines += [f"{n:016x},validation,http://x/o.jpg,http://x/l,http://l,http://p,A,T,1,md,,0.0" for n in numbers]
    return "\n".join([*lines, ""]).encode()


def test_a_list_is_planned_as_its_url_serves_it_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    settings = Settings(lake=str(tmp_path / "lake"), allowed_networks="127.0.0.0/8")

    def plan(shelf: Shelf) -> tuple[int, int]:
        result = plan_open_images(settings, shelf.url, "validation", None, 10, None)
        return result.n_read, result.n_planned

    with Shelf() as one, Shelf() as other:
        one.files[LIST] = image_list(1, 2)
        other.files[LIST] = image_list(7, 8, 9)
        assert plan(one) == (2, 2)
        assert plan(other) == (3, 3)
        one.files[LIST] = image_list(1, 2, 3)
        assert plan(one) == (3, 1)
        url = one.url
    with pytest.raises(PlanRefused, match="asked whether it has changed"):
        plan_open_images(settings, url, "validation", None, 10, None)
