"""Counting the cores that may be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from media_assets.engine.cores import n_usable_cores


@pytest.mark.parametrize(
    ("quota", "n_expected"),
    [("50000 100000", 1), ("100000 100000\n", 1), ("150000 100000", 2), ("max 100000", 64)],
)
def test_smaller_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, n_expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    (tmp_path / "cpu.max").write_text(quota)
    assert n_usable_cores(tmp_path / "cpu.max") == n_expected


@pytest.mark.parametrize("content", ["", "nonsense", "100 0"])
def test_affinity_alone_when_there_is_no_sound_quota(tmp_path: Path, content: str) -> None:
    (tmp_path / "cpu.max").write_text(content)
    n_allowed = len(os.sched_getaffinity(0))
    assert n_usable_cores(tmp_path / "cpu.max") == n_usable_cores(tmp_path / "absent") == n_allowed
