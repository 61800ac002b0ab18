"""Faults as a value and as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets.demo.faults import Faults, FaultsFile, Rule

IDS = [f"{i:016x}" for i in range(1000)]


def test_fraction_hits_about_that_share_and_always_the_same_when_asked_again() -> None:
    rule = Rule("503", fraction=0.2)
    hit = [i for i in IDS if rule.hits(i)]

    assert 150 < len(hit) < 250
    assert hit == [i for i in IDS if rule.hits(i)]
    assert set(hit) <= {i for i in IDS if Rule("503", fraction=0.4).hits(i)}, "a larger share adds to a smaller"


def test_latest_rule_counts_when_two_hit() -> None:
    faults = Faults(rules=(Rule("503", fraction=1.0), Rule("404", frozenset(IDS[:1]))))

    assert [faults.of(i) for i in IDS[:2]] == ["404", "503"]
    assert Faults().of(IDS[0]) is None


@pytest.mark.parametrize(("how", "fraction"), [("explode", 0.5), ("503", 1.5), ("503", -0.1)])
def test_rule_refuses_when_it_cannot_be_acted_out(how: str, fraction: float) -> None:
    with pytest.raises(ValueError, match="not"):
        Rule(how, fraction=fraction)


def test_faults_come_back_equal_when_saved_and_read(tmp_path: Path) -> None:
    faults = Faults(True, True, (Rule("slow", frozenset(IDS[:3])), Rule("404", fraction=0.25)), 500, 0.5)
    faults.save(tmp_path / "faults.json")

    assert FaultsFile(tmp_path / "faults.json").current() == faults
    assert [path.name for path in tmp_path.iterdir()] == ["faults.json"]


def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    file = FaultsFile(path)
    assert file.current() == Faults()
    Faults(is_outage=True).save(path)
    assert file.current().is_outage
    Faults(is_mended=True).save(path)
    assert file.current() == Faults(is_mended=True)
    path.unlink()
    assert file.current() == Faults()


@pytest.mark.parametrize("text", ["{", "[1]", '{"is_outrage": true}', '{"rules": [{"how": "boom"}]}', '{"rules": 3}'])
def test_file_is_refused_when_it_holds_no_faults(text: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    file = FaultsFile(path)

    for _ in range(2):
        with pytest.raises(ValueError):
            file.current()
