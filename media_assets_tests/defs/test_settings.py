"""Settings: each is described, validated, and reaches what it limits."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from media_assets.defs import doctor
from media_assets.defs.resources import Settings, WorkbenchResource
from media_assets.defs.settings import EVERY_SETTING, PREFIX, Setting
from media_assets.engine.map_items import InProcessEngine, ProcessPoolEngine
from media_assets.errors import SetupError
from media_assets.ingest.fetch.limits import FetchLimits
from media_assets.media.still import StillLimits
from media_assets_tests.docs.pages import ROOT

MIB = 1024 * 1024


def settings(**values: str) -> Settings:
    """As from variables of these names."""
    return Settings.from_environment({f"{PREFIX}{name}": value for name, value in values.items()})


def test_every_field_has_a_variable_and_reaches_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    named = [setting.field for setting in EVERY_SETTING]
    assert sorted(named) == sorted(field.name for field in fields(Settings))
    odd = {each.variable: "7" if each.at_least is not None else "x" for each in EVERY_SETTING}
    odd |= {f"{PREFIX}WORKER_MEMORY_MIB": "700", f"{PREFIX}S3_PATH_STYLE": "true"}
    odd |= {f"{PREFIX}LABEL_STUDIO_PRESIGN": "true", f"{PREFIX}LABEL_STUDIO_SECONDS": "70"}
    for secret in (
        "PROXY",
        "ALERT_URLS",
        "LABEL_STUDIO_TOKEN",
        "LABEL_STUDIO_HINT_SECRET",
    ):  # a run reads them there: Dagster keeps what it is given otherwise
        monkeypatch.setenv(f"{PREFIX}{secret}", odd[f"{PREFIX}{secret}"])
    got = Settings.from_environment(odd)
    assert all(getattr(got, field.name) != field.default for field in fields(Settings))
    assert WorkbenchResource.of(got).process_config_and_initialize().settings() == got


def test_every_variable_in_the_code_is_described() -> None:
    named = {
        name
        for path in (ROOT / "media_assets").rglob("*.py")
        for name in re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", Path(path).read_text("utf-8"))
    }
    assert named
    assert named <= {setting.variable for setting in EVERY_SETTING}


def test_unset_and_empty_are_the_defaults_of_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings() == settings(LAKE="", WORKERS="", MAX_ITEM_MIB="") == Settings()
    monkeypatch.undo()  # the short waits of the tests
    usual = Settings()
    assert usual.fetch().limits == FetchLimits()
    assert usual.still_limits() == StillLimits()
    engine = usual.engine()
    assert isinstance(engine, ProcessPoolEngine)
    assert engine.limits == ProcessPoolEngine().limits


def test_limits_reach_what_they_limit() -> None:
    chosen = settings(
        MAX_ITEM_MIB="300",
        MAX_MEGAPIXELS="150",
        WORKER_MEMORY_MIB="4096",
        ITEM_SECONDS="300",
        CONNECTIONS="8",
        CONNECTIONS_PER_HOST="2",
        DOWNLOAD_SECONDS="900",
    )
    limits = chosen.fetch().limits
    assert (limits.max_bytes, limits.total_seconds) == (300 * MIB, 900)
    assert (limits.n_connections, limits.n_connections_per_host) == (8, 2)
    engine = chosen.engine()
    assert isinstance(engine, ProcessPoolEngine)
    assert (engine.limits.memory_bytes, engine.limits.wall_seconds) == (4096 * MIB, 300)
    assert engine.limits.cpu_seconds == 150
    assert engine.limits.max_source_bytes >= 300 * MIB
    stills = WorkbenchResource.of(chosen).options().still_limits
    assert (stills.max_bytes, stills.max_pixels) == (300 * MIB, 150_000_000)
    assert isinstance(settings(WORKERS="0").engine(), InProcessEngine)


@pytest.mark.parametrize("setting", [each for each in EVERY_SETTING if each.at_least is not None], ids=lambda e: e.name)
def test_numbers_out_of_bounds_are_refused_by_name(setting: Setting) -> None:
    wrong = ["-1", "1.5", "many", "²", "9" * 30]
    wrong += [str(setting.at_least - 1)] if setting.at_least else []
    wrong += [str(setting.at_most + 1)] if setting.at_most else []
    for text in wrong:
        with pytest.raises(SetupError, match=setting.variable):
            settings(**{setting.name: text})
    settings(**{setting.name: str(setting.at_least)}).check()


def test_the_doctor_asks_for_the_pythons_that_the_project_takes() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    (oldest, newest) = doctor._PYTHONS
    assert wanted == f">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    assert doctor._versions().passed == (oldest <= sys.version_info[:2] <= newest)


@pytest.mark.parametrize("name", ["LABEL_STUDIO_TOKEN", "LABEL_STUDIO_HINT_SECRET"])
def test_what_label_studio_is_known_by_stays_in_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "t0ken-of-nobody-else"
    monkeypatch.setenv(f"{PREFIX}{name}", secret)
    given = settings(**{name: secret})
    resource = WorkbenchResource.of(given)
    assert secret not in str(vars(resource))
    assert secret not in repr(given)
    assert resource.process_config_and_initialize().settings() == given
