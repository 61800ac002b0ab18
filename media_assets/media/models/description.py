"""A model's sidecar file: which model it is, what it is shown, what its numbers mean. Not here: reading files."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from typing import Literal

import msgspec

from media_assets.errors import ModelCode, ModelUnfit
from media_assets.media.tensors import MAX_SIDE_PX, NORMALIZATIONS, Triple

ONNX = "onnx"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST_LETTERS = 12


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a frame is shown. ``value = (level * scale - mean) / std``, level 0..255, mean and std per channel.

    Fits: `letterbox` shows all of the picture, with bars of `pad_level`; `stretch` all of it, out of proportion;
    `crop` resizes the shorter side to `resize_shorter_px`, or as little more as covers what is shown, and cuts the
    middle out.
    """

    width_px: int
    height_px: int
    fit: Literal["letterbox", "stretch", "crop"] = "letterbox"
    resize_shorter_px: int = 0
    pad_level: int = 114
    scale: float = 1 / 255
    mean: Triple = NORMALIZATIONS["zero_one"][0]
    std: Triple = NORMALIZATIONS["zero_one"][1]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8"] = "float32"  # uint8: the levels as they are

    def __post_init__(self) -> None:
        """Refuse what no frame can be shown as."""
        sides = (self.width_px, self.height_px, self.resize_shorter_px or MAX_SIDE_PX)
        if not all(1 <= side <= MAX_SIDE_PX for side in sides):
            raise ValueError(f"expected sides of 1 to {MAX_SIDE_PX} pixels, got {sides}")
        if 0 < self.resize_shorter_px < min(self.width_px, self.height_px):
            raise ValueError(
                f"expected resize_shorter_px of at least the shorter side that is shown, got {self.resize_shorter_px}"
            )
        if not 0 <= self.pad_level <= 255:
            raise ValueError(f"expected a pad_level of 0 to 255, got {self.pad_level}")
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))):
            raise ValueError("expected finite numbers for scale, mean and std")
        if min(self.std) <= 0 or self.scale <= 0:
            raise ValueError(f"expected scale and std above 0, got {self.scale} and {self.std}")


class Classification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="classification", tag_field="task"):
    """One number per label. `logits` go through a softmax; `probabilities` have to be such, 1 in all.

    A single number is a yes or no, its sigmoid is taken of a logit: of the only label, or of the second one of two.
    """

    scores: Literal["logits", "probabilities"] = "logits"
    top_k: int = 5
    output: str = ""  # name of the model's output; empty: its first

    def __post_init__(self) -> None:
        """Refuse to keep nothing."""
        if self.top_k < 1:
            raise ValueError(f"expected a top_k of 1 or more, got {self.top_k}")


class Detection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="detection", tag_field="task"):
    """Boxes with scores, before or after suppression of overlaps.

    Forms: `yolo` is one output of a row per box (position, objectness if `has_objectness`, one score per label), the
    boxes along the axis that `boxes_are` names; `ssd` is two outputs (boxes, scores per label) or three (boxes,
    labels, scores).
    """

    form: Literal["yolo", "ssd"]
    box: Literal["cxcywh", "xywh", "xyxy", "yxyx"] = "cxcywh"
    units: Literal["pixels", "fractions"] = "pixels"  # of the frame as it was shown
    scores: Literal["logits", "probabilities"] = "probabilities"  # logits go through a sigmoid
    has_objectness: bool = False
    boxes_are: Literal["last_axis", "middle_axis"] = "last_axis"
    first_label: int = 0  # the model's number of the first label: 1 where its 0 is the background
    outputs: tuple[str, ...] = ()  # names of the model's outputs in the order above; empty: its own order
    min_score: float = 0.25
    max_overlap: float = 0.45  # intersection over union of two boxes of one label
    max_regions: int = 100

    def __post_init__(self) -> None:
        """Refuse bounds that are none."""
        if not (0 <= self.min_score <= 1 and 0 <= self.max_overlap <= 1 and self.max_regions >= 1):
            raise ValueError("expected min_score and max_overlap of 0 to 1, and a max_regions of 1 or more")
        if self.first_label < 0:
            raise ValueError(f"expected a first_label of 0 or more, got {self.first_label}")


class ModelDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. `file` lies beside the sidecar; `sha256` is what it has to be, where that is known.

    `adapter` is `onnx`, or the import path `package.module:name` of a plug-in: called with this description and the
    file's bytes, it gives a `FrameModel`.
    """

    id: str
    version: str
    labels: tuple[str, ...]
    input: Input
    output: Classification | Detection
    licence: str
    file: str = ""
    sha256: str = ""
    adapter: str = ONNX

    def __post_init__(self) -> None:
        """Refuse names that cannot be kept, and labels that cannot be told apart."""
        for field in ("id", "version"):
            if not _NAME.fullmatch(getattr(self, field)):
                raise ValueError(
                    f"expected {field} of letters, digits, '.', '_' and '-', at most 64, got {getattr(self, field)!r}"
                )
        if not self.labels or len(set(self.labels)) != len(self.labels) or not all(self.labels):
            raise ValueError("expected labels that are not empty, no two of them alike")
        if not self.file and self.adapter == ONNX:
            raise ValueError("expected `file`, the name of the model file beside this one")
        if "/" in self.file or self.file.startswith("."):
            raise ValueError(f"expected `file` to be a name beside this one, got {self.file!r}")
        if not self.licence:
            raise ValueError("expected `licence`: under which the model may be used")

    @property
    def task(self) -> str:
        """`classification` or `detection`."""
        return "classification" if isinstance(self.output, Classification) else "detection"

    def full_version(self, file_sha256: str) -> str:
        """The version as it is kept: its own, and a digest of the file and of all that changes what it says."""
        said = msgspec.structs.replace(self, file=self.file and "model", sha256=file_sha256, licence="any")
        digest = hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()
        return f"{self.version}+{digest[:_DIGEST_LETTERS]}"


def parse_description(data: bytes, name: str) -> ModelDescription:
    """What a sidecar file says; it is TOML where its name ends so, else JSON.

    Raises:
        ModelUnfit: it describes no model.
    """
    try:
        if name.endswith(".toml"):
            return msgspec.convert(tomllib.loads(data.decode()), ModelDescription)
        return msgspec.json.decode(data, type=ModelDescription)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ModelUnfit(
            f"Expected the description of a model in {name}, got one that does not fit: {error}. See "
            f"docs/predictions.md.",
            ModelCode.DESCRIPTION_INVALID,
        ) from error
