"""The lists that known data sets publish of their videos: the splits of FaceForensics++, the metadata of DFDC. Pure.

Both are sets of manipulated videos, so what matters is what was made from what: `original_id` and `subject_id` carry
the set's name in front, since numbers and file names of two sets would else be taken for the same person.

FaceForensics++ (ondyari/FaceForensics, dataset/splits): pairs of numbers. A pair (a, b) covers four videos of each
method: the originals a and b, and the fakes a_b and b_a, where the face of the second is put on the video of the first.
DFDC (Kaggle): an object of file names with `label`, `split` and, of fakes, `original`; missing or null where it is
real.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from media_assets.errors import ItemError
from media_assets.ingest.planned import PlannedItem, RejectedRow
from media_assets.ingest.videos.addresses import BadAddress, MediaBase
from media_assets.ingest.videos.catalog_rows import label, require_key
from media_assets.tables.columns import Kind

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
COMPRESSIONS = ("raw", "c23", "c40")
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_NUMBER = re.compile(r"[0-9]{3}", re.ASCII)
_FF, _DFDC = "faceforensics", "dfdc"


def is_faceforensics(content: object) -> bool:
    """Whether a JSON file is a list of pairs (or an empty list)."""
    return isinstance(content, list) and (not content or any(isinstance(pair, list) for pair in content))


def is_dfdc(content: object) -> bool:
    """Whether a JSON file is an object of objects, one a file name."""
    return isinstance(content, dict) and any(isinstance(value, dict) for value in content.values())


def read_faceforensics(
    pairs: Sequence[object], name: str, base: MediaBase, methods: Sequence[str], compression: str
) -> Iterator[PlannedItem | RejectedRow]:
    """The originals of each pair, then its fakes by method; the videos are where the set's own script puts them.

    Args:
        name: of the split file; `train`, `val` and `test` are splits, any other tells none.
    """
    split = _SPLITS.get(name.partition(".")[0])
    for number, pair in enumerate(pairs):
        if not _is_pair(pair):
            yield RejectedRow(f"{name}[{number}]", f"expected a pair of three digits each, got {ascii(pair)[:80]}")
            continue
        one, other = pair[0], pair[1]
        for original in (one, other):
            path = f"original_sequences/youtube/{compression}/videos/{original}.mp4"
            yield _ff_item(base, path, split, original, original, ("real",))
        for method in methods:
            for target, source in ((one, other), (other, one)):
                path = f"manipulated_sequences/{method}/{compression}/videos/{target}_{source}.mp4"
                yield _ff_item(base, path, split, source, target, ("fake", method))


def read_dfdc(entries: Mapping[str, object], name: str, base: MediaBase) -> Iterator[PlannedItem | RejectedRow]:
    """One item a file name, in the order of the file."""
    for file_name, entry in entries.items():
        row_key = f"{name}[{file_name[:200]}]"
        values = entry if isinstance(entry, Mapping) else {}
        verdict, original = values.get("label"), values.get("original")
        if not isinstance(verdict, str) or verdict.lower() not in ("fake", "real"):
            yield RejectedRow(row_key, f"expected a label FAKE or REAL, got {ascii(verdict)[:60]}")
            continue
        if original is not None and not (isinstance(original, str) and original):
            yield RejectedRow(row_key, f"expected a file name as original, or null, got {ascii(original)[:60]}")
            continue
        split = values.get("split", values.get("set"))
        try:
            require_key(file_name)
            yield PlannedItem(
                item_key=file_name,
                uri=base.below(file_name),
                kind=Kind.VIDEO,
                original_id=f"{_DFDC}:{original or file_name}",
                split_hint=split if isinstance(split, str) and split else None,
                labels=(label(verdict.lower(), _DFDC),),
            )
        except (BadAddress, ItemError, UnicodeEncodeError) as error:
            told = error.message if isinstance(error, ItemError) else str(error)
            yield RejectedRow(row_key.encode(errors="replace").decode(), told)


def _is_pair(pair: object) -> TypeGuard[list[str]]:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(number, str) and _NUMBER.fullmatch(number) for number in pair)
        and pair[0] != pair[1]
    )


def _ff_item(
    base: MediaBase, path: str, split: str | None, subject: str, original: str, labels: Sequence[str]
) -> PlannedItem:
    return PlannedItem(
        item_key=path,
        uri=base.below(path),
        kind=Kind.VIDEO,
        subject_id=f"{_FF}:{subject}",
        original_id=f"{_FF}:{original}",
        split_hint=split,
        labels=tuple(label(name, _FF) for name in labels),
    )
