"""Sample sets: the same parameters give the same bytes, and every odd image has a fate."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from media_assets.demo.corpus import MARKER, Corpus, read_corpus, write_corpus, write_large_corpus
from media_assets.demo.corpus_images import portrait_path
from media_assets.demo.oddities import BROKEN, FINE
from media_assets.demo.open_images_csv import CLASS_IDS, HUMAN_LABELS, IMAGE_LIST
from media_assets.errors import ErrorCode, SetupError


def small(root: Path, n: int = 24, n_bad: int = 8, seed: int = 3) -> Corpus:
    return write_large_corpus(root, n, n_bad, seed, width_px=96, height_px=64, n_bases=3)


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_sets_are_equal_byte_for_byte_when_parameters_are(tmp_path: Path) -> None:
    first, second, other = (small(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))

    assert files(first.root) == files(second.root)
    assert replace(first, root=second.root) == second
    assert other.fingerprint != first.fingerprint


def test_shown_set_is_equal_byte_for_byte_when_written_again(corpus: Corpus, tmp_path: Path) -> None:
    assert files(write_corpus(tmp_path / "again", n_images=30, seed=11).root) == files(corpus.root)


def test_every_kind_occurs_once_and_has_its_fate_when_a_set_is_shown(corpus: Corpus) -> None:
    assert sorted(corpus.kinds.values()) == sorted([*FINE, *BROKEN, "duplicate"])
    fates = {kind: corpus.expected[image_id] for image_id, kind in corpus.kinds.items()}
    assert {kind: fate for kind, fate in fates.items() if kind in BROKEN} == {
        "truncated": "failed/truncated",
        "empty": "failed/empty",
        "html": "failed/unsupported_format",
        "svg": "failed/unsupported_format",
        "bomb": "failed/too_many_pixels",
        "random": "failed/unknown_format",
        "missing": "failed/not_found",
        "flaky": "failed/server_error",
    }
    assert fates["duplicate"] == "duplicate"
    assert {fates[kind] for kind in FINE} == {"accepted"}
    assert all(ErrorCode(fate.split("/")[1]) for fate in fates.values() if fate.startswith("failed/"))


def test_only_the_servers_faults_are_healed_when_mended(corpus: Corpus) -> None:
    healed = {corpus.kinds[i] for i, fate in corpus.expected.items() if corpus.expected_after_mending[i] != fate}

    assert healed == {"missing", "flaky"}
    for image_id, kind in corpus.kinds.items():
        assert (corpus.images / f"{image_id}.jpg").exists() == (kind not in healed)
        if kind in healed:
            Image.open(corpus.path(image_id)).load()


def test_good_images_open_and_are_listed_when_a_set_is_shown(corpus: Corpus) -> None:
    with (corpus.metadata / IMAGE_LIST).open(encoding="utf-8", newline="") as stream:
        listed = [row["ImageID"] for row in csv.DictReader(stream)]

    assert listed == list(corpus.image_ids)
    assert len(listed) == corpus.n_images == 30
    for image_id in set(listed) - set(corpus.kinds):
        Image.open(corpus.path(image_id)).load()


def test_duplicate_has_the_bytes_of_the_image_listed_before_it(corpus: Corpus) -> None:
    hashes = [hashlib.sha256(corpus.path(i).read_bytes()).hexdigest() for i in corpus.image_ids]
    place = next(n for n, i in enumerate(corpus.image_ids) if corpus.kinds.get(i) == "duplicate")

    assert hashes[place] == hashes[place - 1]
    assert len(set(hashes)) == len(hashes) - 1
    assert corpus.image_ids[place - 1] not in corpus.kinds


def test_portrait_is_credited_and_labelled_when_listed(corpus: Corpus) -> None:
    portrait = portrait_path().read_bytes()
    image_id = next(i for i in corpus.image_ids if corpus.path(i).read_bytes() == portrait)
    with (corpus.metadata / IMAGE_LIST).open(encoding="utf-8", newline="") as stream:
        row = next(row for row in csv.DictReader(stream) if row["ImageID"] == image_id)

    assert row["Author"] == "U.S. Navy"
    assert row["License"] == "https://creativecommons.org/publicdomain/mark/1.0/"
    assert f"{image_id},verification,{CLASS_IDS['Person']},1" in (corpus.metadata / HUMAN_LABELS).read_text()


def test_list_rotation_is_90_only_for_the_lying_image(corpus: Corpus) -> None:
    with (corpus.metadata / IMAGE_LIST).open(encoding="utf-8", newline="") as stream:
        rotations = {row["ImageID"]: row["Rotation"] for row in csv.DictReader(stream)}
    lying = next(i for i, kind in corpus.kinds.items() if kind == "list_rotation_90")

    assert [i for i, rotation in rotations.items() if rotation == "90.0"] == [lying]
    assert set(rotations.values()) == {"90.0", "0.0", ""}


def test_large_set_has_as_many_bad_ones_as_asked_when_written(tmp_path: Path) -> None:
    corpus = small(tmp_path / "set", n=40, n_bad=11)
    kinds = list(corpus.kinds.values())

    assert corpus.n_images == 40
    assert len(corpus.expected) == 11
    assert all(fate.startswith("failed/") for fate in corpus.expected.values())
    assert {kinds.count(kind) for kind in BROKEN} == {1, 2}, "bad kinds take turns"
    hashes = {hashlib.sha256(corpus.path(i).read_bytes()).hexdigest() for i in corpus.image_ids}
    assert len(hashes) == 40 - (kinds.count("empty") - 1), "only empty files are alike"


def test_set_is_kept_when_it_is_there_and_written_anew_when_it_differs(tmp_path: Path) -> None:
    first = small(tmp_path)
    touched = first.path(first.image_ids[-1])
    before = touched.stat().st_mtime_ns
    assert small(tmp_path) == first
    assert touched.stat().st_mtime_ns == before

    other = small(tmp_path, seed=9)
    assert other.fingerprint != first.fingerprint
    names = {path.stem for folder in (other.images, other.later) for path in folder.iterdir()}
    assert names == set(other.image_ids), "nothing of the old set is left"


def test_set_is_written_anew_when_its_writing_was_cut_short(tmp_path: Path) -> None:
    first = small(tmp_path)
    (tmp_path / MARKER).write_text(json.dumps({"complete": False}))
    first.path(first.image_ids[0]).unlink()
    with pytest.raises(SetupError, match="no complete sample set"):
        read_corpus(tmp_path)

    assert small(tmp_path) == first
    assert first.path(first.image_ids[0]).exists()


def test_foreign_folder_is_left_alone_when_asked_to_write_there(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SetupError, match="holds other files"):
        small(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        write_corpus(tmp_path / "a", n_images=5)
    with pytest.raises(ValueError, match="n_bad"):
        write_large_corpus(tmp_path / "b", 5, 6)


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    options = {"seed": 3, "width_px": 64, "height_px": 64, "n_bases": 2}
    alone = write_large_corpus(tmp_path / "a", 400, 8, n_processes=1, **options)
    together = write_large_corpus(tmp_path / "b", 400, 8, n_processes=2, **options)

    assert files(alone.root) == files(together.root)
