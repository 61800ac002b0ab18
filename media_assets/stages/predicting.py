"""Asking the models about the frames of a batch: a few frames a work, each frame's answers as they come.

A work that ends badly is done again frame by frame, so that one frame that kills its decoder costs one item. Not here:
what the answers mean for the tables (`predictions.py`), decoding or asking (`media/models/labelling.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from media_assets.engine.map_items import Engine
from media_assets.engine.tasks import Outcome, Task, Work
from media_assets.errors import DECODER_FAULTS, MODEL_FAULTS, ErrorCode, ItemError, ModelCode, ModelUnfit
from media_assets.media.containers.png import encode_png
from media_assets.media.identity import media_id as hash_of
from media_assets.media.models.labelling import FrameBytes, FrameLabelled, FramesLabelled, LabelRequest
from media_assets.media.models.protocol import Prediction
from media_assets.media.still import StillLimits
from media_assets.stages.models import InstalledModel
from media_assets.stages.outage import OutageGuard
from media_assets.stages.workbench import Workbench

LABELLER = "media_assets.media.models.labelling:frame_labeller"

FRAMES_PER_WORK = 8
"""What a model is asked about together; a work's time limit is that of one item."""

BYTES_PER_WORK = 32 << 20

OF_MODELS = MODEL_FAULTS | DECODER_FAULTS
"""What a model has to explain: each of these frames was decoded before, when it was made."""

_BLAMED_SHARE = 0.5
_BLAMED_LEAST = 3
"""A model is to blame that fails on more than this share of the items, and so many; or has answered nothing yet."""


@dataclass(frozen=True)
class FrameToPredict:
    """One frame of an item that entered."""

    item_key: str
    frame_id: str
    media_id: str
    blob: str


@dataclass(frozen=True)
class FramePredicted:
    """What became of one frame: `error`, or one prediction per model, in the models' order."""

    frame: FrameToPredict
    predictions: tuple[Prediction, ...] = ()
    error: ItemError | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class History:
    """What these very models, in these versions, said of the batch before.

    Attributes:
        n_accepted: items that stay as they said; they speak for the models.
        failed: keys of items on which the models failed; that they do so again tells nothing new.
    """

    n_accepted: int = 0
    failed: frozenset[str] = frozenset()


@dataclass
class FramePredictor:
    """Asks every model about frames. Use it once."""

    bench: Workbench
    batch_id: str
    models: Sequence[InstalledModel]
    limits: StillLimits
    outage: OutageGuard
    wants_thumbnails: bool
    history: History = History()
    cpu_seconds: float = 0.0
    _n_answered: int = 0  # frames
    _n_at_once: int = FRAMES_PER_WORK
    _n_done: int = 0
    _n_frames: int = 0
    _again: list[FrameToPredict] = field(default_factory=list)  # of works that ended badly
    _aside: list[FramePredicted] = field(default_factory=list)  # done without a worker
    _failed: set[str] = field(default_factory=set)  # item keys
    _item_keys: frozenset[str] = frozenset()  # of all that is asked about
    _blamed: dict[str, ItemError] = field(default_factory=dict)  # item key → error of a model

    def predictions(self, frames: Sequence[FrameToPredict]) -> Iterator[FramePredicted]:
        """What became of each of these frames, in any order.

        Raises:
            ModelUnfit: a model cannot be used as it is described, whatever it is shown, or fails on most of it; no
                frame is to blame.
            Outage: most items failed for causes that may pass.
        """
        if not frames:
            return
        self._item_keys = frozenset(frame.item_key for frame in frames)
        self._n_frames = len(frames)
        self.bench.blobs.read_ahead(frame.blob for frame in frames)
        yield from self._pass(frames)
        again, self._again, self._n_at_once = self._again, [], 1
        if again:
            yield from self._pass(again)
        if not self._n_answered and not self.history.n_accepted:
            self._blame(least=1)

    def _pass(self, frames: Sequence[FrameToPredict]) -> Iterator[FramePredicted]:
        with closing(self.bench.engine.map_items(_task(self.models), self._works(frames))) as outcomes:
            for outcome in outcomes:
                yield from self._noted(self._finished(outcome))
        yield from self._noted(self._set_aside())

    def _works(self, frames: Iterable[FrameToPredict]) -> Iterator[Work[tuple[FrameToPredict, ...], LabelRequest]]:
        group: list[tuple[FrameToPredict, bytes]] = []
        n_bytes = 0
        for frame in frames:
            if (data := self._read(frame)) is None:
                continue
            if group and (len(group) >= self._n_at_once or n_bytes + len(data) > BYTES_PER_WORK):
                yield self._work(group)
                group, n_bytes = [], 0
            group.append((frame, data))
            n_bytes += len(data)
        if group:
            yield self._work(group)

    def _work(self, group: Sequence[tuple[FrameToPredict, bytes]]) -> Work[tuple[FrameToPredict, ...], LabelRequest]:
        frames = tuple(FrameBytes(len(data), frame.blob, self.wants_thumbnails) for frame, data in group)
        # A frame is lossless, and may be larger than the file it was made of was allowed to be.
        limits = msgspec.structs.replace(self.limits, max_bytes=sys.maxsize)
        request = LabelRequest(frames, tuple(model.version for model in self.models), limits)
        return Work(tuple(frame for frame, _ in group), b"".join(data for _, data in group), request)

    def _read(self, frame: FrameToPredict) -> bytes | None:
        try:
            source = self.bench.blobs.source(frame.blob)
            return source.read_bytes() if isinstance(source, Path) else source
        except FileNotFoundError:
            told = f"The kept blob {frame.blob} of frame {frame.frame_id} is gone."
        except OSError as error:
            told = f"Expected to read blob {frame.blob}, got: {error}."
        self._aside.append(FramePredicted(frame, error=_unusable(ErrorCode.STORAGE_FAILED, told)))
        return None

    def _finished(self, outcome: Outcome[tuple[FrameToPredict, ...], FramesLabelled]) -> Iterator[FramePredicted]:
        frames = outcome.key
        self.cpu_seconds += outcome.cpu_seconds
        yield from self._set_aside()
        if outcome.error is not None:
            if len(frames) > 1:
                self._again += frames
                self._n_at_once = max(1, min(self._n_at_once, len(frames) // 2))  # too many for a limit, it may be
            else:
                told = f"Frame {frames[0].frame_id}: {outcome.error.message}"
                yield FramePredicted(frames[0], error=ItemError(outcome.error.code, told))
            return
        answer = outcome.response
        assert answer is not None, "an outcome has a response or an error"
        if answer.unfit is not None:
            raise ModelUnfit(answer.message, answer.unfit)
        if len(answer.frames) != len(frames):
            lost = ItemError(ErrorCode.DECODER_CRASHED, f"expected answers to {len(frames)} frames, got others")
            yield from (FramePredicted(frame, error=lost) for frame in frames)
            return
        for frame, labelled in zip(frames, answer.frames, strict=True):
            yield self._predicted(frame, labelled)

    def _predicted(self, frame: FrameToPredict, labelled: FrameLabelled) -> FramePredicted:
        if labelled.code is None and len(labelled.predictions) == len(self.models):
            return FramePredicted(frame, labelled.predictions, thumbnail=labelled.thumbnail)
        code, told = labelled.code or ErrorCode.DECODER_CRASHED, f"Frame {frame.frame_id}: {labelled.message}"
        error = _unusable(code, told) if code is ErrorCode.BLOB_DAMAGED else ItemError(code, told)
        return FramePredicted(frame, error=error)

    def _set_aside(self) -> list[FramePredicted]:
        aside, self._aside = self._aside, []
        return aside

    def _noted(self, predicted: Iterable[FramePredicted]) -> Iterator[FramePredicted]:
        for each in predicted:
            self._n_done += 1
            self.bench.progress(self.batch_id, self._n_done, self._n_frames)
            self._n_answered += each.error is None
            if each.error is not None and each.frame.item_key not in self._failed:
                self._failed.add(each.frame.item_key)
                self.outage.note(each.error)
                if each.error.code in OF_MODELS and each.frame.item_key not in self.history.failed:
                    self._blamed[each.frame.item_key] = each.error
                    n_told = len(self._item_keys - self.history.failed) + self.history.n_accepted
                    if len(self._blamed) > _BLAMED_SHARE * n_told:
                        self._blame(_BLAMED_LEAST)
            yield each

    def _blame(self, least: int) -> None:
        """Say that the models are to blame, and not the frames, where they failed on so many items.

        However failures that may pass are taken, and whether this is a replay, makes no difference here.
        """
        if len(self._blamed) >= least:
            (error, *_) = self._blamed.values()
            raise ModelUnfit(
                f"Batch {self.batch_id}: the models failed on {len(self._blamed)} of {len(self._item_keys)} items, "
                f"such as: {error.message} Nothing was published. Mend the description or the model, then run the "
                f"batch again.",
                ModelCode.FAILS_ON_MOST,
            )


def try_models(engine: Engine, models: Sequence[InstalledModel]) -> None:
    """Ask every model about a gray picture.

    Raises:
        ModelUnfit: one cannot be used as it is described.
        ItemError: its answer to this picture is none.
    """
    gray = encode_png(np.full((16, 16, 3), 127, np.uint8))
    request = LabelRequest((FrameBytes(len(gray), hash_of(gray)),), tuple(model.version for model in models))
    with closing(engine.map_items(_task(models), [Work("gray", gray, request)])) as outcomes:
        (outcome,) = list(outcomes)
    if outcome.response is None:
        raise outcome.error or ItemError(ErrorCode.DECODER_CRASHED, "expected an answer, got none")
    if outcome.response.unfit is not None:
        raise ModelUnfit(outcome.response.message, outcome.response.unfit)
    if (code := outcome.response.frames[0].code) is not None:
        raise ItemError(code, outcome.response.frames[0].message)


def _task(models: Sequence[InstalledModel]) -> Task[LabelRequest, FramesLabelled]:
    files = tuple(path for model in models for path in (model.sidecar, model.file))
    return Task(LABELLER, LabelRequest, FramesLabelled, files=files)


def _unusable(code: ErrorCode, what: str) -> ItemError:
    return ItemError(
        code,
        f"{what} Replay the item (`media-assets dead-letters replay --code {code.value}`): the frame is then made "
        f"again from the raw file, and that is fetched again where it is bad, too.",
    )
