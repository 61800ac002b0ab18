"""The Dagster home: it belongs to one lake, and what is wrong with it is said in words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from media_assets.defs.resources import Settings, open_instance
from media_assets.defs.runs import Launcher
from media_assets.errors import SetupError
from media_assets.lake.location import LakeLocation


@pytest.fixture(autouse=True)
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default home, and what `open_instance` sets is taken back."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.chdir(tmp_path)


def test_a_second_lake_beside_the_first_is_refused_with_both_names(tmp_path: Path) -> None:
    first, second = Settings(lake=str(tmp_path / "lake")), Settings(lake=str(tmp_path / "other"))
    open_instance(first).dispose()
    open_instance(first).dispose()
    with pytest.raises(SetupError, match="DAGSTER_HOME") as raised:
        open_instance(second)
    for told in (first.lake, second.lake, "MEDIA_ASSETS_LAKE", str(tmp_path / "dagster_home")):
        assert told in str(raised.value)


def test_a_home_of_before_takes_the_first_lake_that_uses_it(tmp_path: Path) -> None:
    lake = Settings(lake=str(tmp_path / "lake"))
    open_instance(lake).dispose()
    (note,) = (tmp_path / "dagster_home").glob("*.txt")
    note.unlink()
    os.environ["DAGSTER_HOME"] = str(tmp_path / "dagster_home")
    open_instance(Settings(lake=str(tmp_path / "other"))).dispose()
    with pytest.raises(SetupError, match="belongs to the lake"):
        open_instance(lake)


def test_a_home_and_its_lake_can_be_moved_together(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    open_instance(Settings(lake=str(tmp_path / "here" / "lake"))).dispose()
    (tmp_path / "here").rename(tmp_path / "there")
    os.environ["DAGSTER_HOME"] = ""
    open_instance(Settings(lake=str(tmp_path / "there" / "lake"))).dispose()
    os.environ["DAGSTER_HOME"] = ""
    (tmp_path / "linked").symlink_to(tmp_path / "there")
    open_instance(Settings(lake=str(tmp_path / "linked" / "lake"))).dispose()


def test_a_run_in_the_home_of_another_lake_says_so(
    settings: Settings, instance: dg.DagsterInstance, plan_four: Callable[[], list[str]], tmp_path: Path
) -> None:
    """As `dagster dev` would, when it was started by hand with another lake."""
    first = plan_four()[0]
    (result,) = Launcher(replace(settings, lake=str(tmp_path / "other")), instance).materialize([first])
    assert settings.lake in (result.error or "")


def test_make_dev_is_refused_like_a_command(tmp_path: Path) -> None:
    open_instance(Settings(lake=str(tmp_path / "lake"))).dispose()
    command = [sys.executable, "-m", "media_assets.defs"]
    environment = os.environ | {"DAGSTER_HOME": "", "MEDIA_ASSETS_LAKE": "other"}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("SetupError: ")
    environment["MEDIA_ASSETS_LAKE"] = "lake"
    taken = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert taken.stdout == f"{tmp_path / 'dagster_home'}\n"


@pytest.mark.parametrize("content", ["telemetry: [", "telemetry: 3", "no_such_key: 1", "- a list"])
def test_a_configuration_that_dagster_cannot_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "dagster_home").mkdir()
    (tmp_path / "dagster_home" / "dagster.yaml").write_text(content)
    with pytest.raises(SetupError, match=r"dagster\.yaml"):
        open_instance(Settings(lake=str(tmp_path / "lake")))


@pytest.mark.parametrize("lake", ["lake", "file/lake"])
def test_a_file_in_place_of_the_home_is_named(tmp_path: Path, lake: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dagster_home").touch()
    with pytest.raises(SetupError, match="dagster_home"):
        open_instance(Settings(lake=str(tmp_path / lake)))


def test_a_lake_in_an_object_store_has_its_home_in_the_current_folder(tmp_path: Path) -> None:
    from media_assets.defs.home import home_of

    assert home_of(LakeLocation("s3://bucket/lake")) == tmp_path / "dagster_home"
