"""`make audit` says what it found, that it found nothing, or that it did not look; never the last as the second."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from media_assets_tests.supply import audit, closure
from media_assets_tests.supply.problems import PROBLEMS, Problem
from media_assets_tests.supply.test_osv import FROM_THE_START, advisory


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(audit.VARIABLE, raising=False)


def write(folder: Path, *advisories: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, told in enumerate(advisories):
        (folder / f"{number}.json").write_text(json.dumps(told))
    return folder


def packed(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return folder.with_suffix(".zip")


HARMLESS = advisory(FROM_THE_START, name="a-package-that-nobody-has")
PILLOW = advisory(FROM_THE_START, {"fixed": "99"}, name="Pillow", summary="It breaks")


def test_nothing_is_checked_without_a_database_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([]) == 0
    told = capsys.readouterr().out
    assert told.startswith("skipped: no database given, so nothing was checked. Get it with")
    assert "make audit ARGS=" in told


@pytest.mark.parametrize("is_packed", [False, True])
def test_what_is_pinned_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], is_packed: bool) -> None:
    folder = write(tmp_path / "all", HARMLESS, PILLOW)
    assert audit.main(["--database", str(packed(folder) if is_packed else folder)]) == 1
    version = closure.pinned()["pillow"][1]
    told = capsys.readouterr().out
    assert f"FOUND pillow {version}: PYSEC-1: It breaks; fixed in 99\n" in told
    assert "held against 2 advisories, the newest of 2026-01-01" in told
    assert told.endswith("1 found, 0 out of reach\n")


def test_nothing_found_is_a_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(audit.VARIABLE, str(write(tmp_path / "all", HARMLESS)))
    assert audit.main([]) == 0
    assert capsys.readouterr().out.endswith("0 found, 0 out of reach\n")


def test_a_problem_that_is_out_of_reach_is_told_and_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = closure.pinned()["pillow"][1]
    known = Problem("pillow", version, "x", "we do not do that", "t", frozenset({"PYSEC-1"}))
    monkeypatch.setattr(audit, "PROBLEMS", (known,))
    folder = write(tmp_path / "all", PILLOW)
    assert audit.main(["--database", str(folder)]) == 0
    assert "fixed in 99; out of reach: we do not do that\n0 found, 1 out of reach" in capsys.readouterr().out
    monkeypatch.setattr(audit, "PROBLEMS", (Problem("pillow", "1", "x", "y", "t", frozenset({"PYSEC-1"})),))
    assert audit.main(["--database", str(folder)]) == 1


def test_a_database_that_is_none_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text("[]")
    (tmp_path / "half.json").write_text('{"id": ')
    for name in ("missing.zip", "broken.zip", "empty", "other.json", "half.json"):
        assert audit.main(["--database", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.startswith("DatabaseUnusable: ")


def test_what_is_installed_at_another_version_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name, version = closure.pinned()["pytest"]
    monkeypatch.setattr(closure, "pinned", lambda: {"pytest": (name, "0.1")})
    assert {(name, "0.1"), (name, version)} <= set(audit.packages_in_use())


def test_the_problems_that_are_known_name_no_advisory_of_another_version() -> None:
    for problem in PROBLEMS:
        told = advisory(FROM_THE_START, name=problem.package)
        (finding,) = audit.findings([told], [(problem.package, problem.version)])
        assert bool(audit.mitigation_of(finding)) is ("PYSEC-1" in problem.ids)
