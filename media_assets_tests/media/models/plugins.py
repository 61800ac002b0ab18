"""Plug-ins for tests: what a worker sees of them tells what it was given."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from media_assets.media.models.description import ModelDescription
from media_assets.media.models.protocol import Answer, ClassScores
from media_assets.media.resize import Pixels


class _PlugIn:
    def __init__(self, description: ModelDescription, data: bytes) -> None:
        self.n_labels = len(description.labels)
        self.data = data

    def _sure_of(self, label: int) -> ClassScores:
        return ClassScores(np.eye(self.n_labels)[label])


class Counting(_PlugIn):
    """Says how many frames it was asked about together: label 0 for one."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        return [self._sure_of(len(frames) - 1)] * len(frames)


class Deadly(_PlugIn):
    """Ends its process where it sees a frame that is all red."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        if ((frames[..., 0] > 200) & (frames[..., 1] < 50)).all(axis=(1, 2)).any():
            os._exit(13)
        return [self._sure_of(0)] * len(frames)


class Prying(_PlugIn):
    """Tries what a worker may not: 0 it could, 1 it could not."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
        try:
            socket.socket().close()
            Path("/etc/passwd").read_bytes()
        except OSError:
            return [self._sure_of(1)] * len(frames)
        return [self._sure_of(0)] * len(frames)


class Broken(_PlugIn):
    """Answers to a frame less than it was asked about."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        return [self._sure_of(0)] * (len(frames) - 1)


class Buggy(_PlugIn):
    """Has a defect."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        raise RuntimeError("a defect")


class Unloadable(_PlugIn):
    """Does not come into being."""

    def __init__(self, description: ModelDescription, data: bytes) -> None:
        raise RuntimeError("a defect")


class Hungry(_PlugIn):
    """Wants more memory than there is."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        raise MemoryError("8 GiB more")


class Slow(_PlugIn):
    """Takes longer than anybody waits."""

    def predict(self, frames: Pixels) -> Sequence[Answer]:
        time.sleep(600)
        return []
