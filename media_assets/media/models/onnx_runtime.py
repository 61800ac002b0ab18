"""The plug-in for ONNX files: ONNX Runtime on the CPU, one thread, since workers are what runs in parallel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from media_assets.errors import ModelCode, ModelUnfit
from media_assets.media.models.classification import require_scores
from media_assets.media.models.description import Detection, Input, ModelDescription
from media_assets.media.models.protocol import Answer, ClassScores, ModelRunFailed
from media_assets.media.models.raw_outputs import boxes_of
from media_assets.media.resize import Pixels
from media_assets.media.tensors import normalize

Array = npt.NDArray[Any]

_TYPES = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)"}
_FATAL_ONLY = 4
_NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory")


def require_runtime() -> None:
    """Import ONNX Runtime, which is no part of the base installation.

    Raises:
        ModelUnfit: it is not installed.
    """
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ModelUnfit(
            f"Expected ONNX Runtime for a model with the adapter `onnx`, it is not installed ({error}). Install the "
            f'extra: pip install -c constraints.txt -e ".[models]".',
            ModelCode.RUNTIME_MISSING,
        ) from error


class OnnxModel:
    """One loaded ONNX model."""

    def __init__(self, description: ModelDescription, data: bytes) -> None:
        """Load it from the bytes of its file; data that it keeps in other files are not looked for.

        Raises:
            ModelUnfit: it is no ONNX model, needs what this runtime does not have, or takes something else than is
                described.
        """
        require_runtime()
        import onnxruntime

        self._description = description
        try:
            self._session = onnxruntime.InferenceSession(data, _options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's exceptions have no root of their own
            if _is_of_memory(error):
                raise ModelUnfit(
                    f"Expected model {description.id} of {len(data) / 2**20:.0f} MiB to fit into a worker's memory, it "
                    f"does not. Raise MEDIA_ASSETS_WORKER_MEMORY_MIB: to load a model takes about 4 times its file and "
                    f"500 MiB, and workers hold all models.",
                    ModelCode.TOO_LARGE,
                ) from error
            raise ModelUnfit(
                f"Expected the ONNX file of model {description.id} to load, got: {_told(error)}.",
                ModelCode.FILE_UNREADABLE,
            ) from error
        self._input = self._checked_input(description.input)
        self._outputs = self._chosen_outputs(description)

    def predict(self, frames: Pixels) -> list[Answer]:
        """As `FrameModel.predict`. A model that takes only so many frames at once is asked as often as it needs."""
        values = as_values(frames, self._description.input)
        if not isinstance(self._n_at_once, int):
            return self._answers(values)
        answers: list[Answer] = []
        for first in range(0, len(values), self._n_at_once):
            some = values[first : first + self._n_at_once]
            filled = np.concatenate([some, np.repeat(some[-1:], self._n_at_once - len(some), axis=0)])
            answers += self._answers(filled)[: len(some)]
        return answers

    def _answers(self, values: Array) -> list[Answer]:
        try:
            arrays = [np.asarray(array) for array in self._session.run(self._outputs, {self._input: values})]
        except Exception as error:
            if _is_of_memory(error):
                raise MemoryError(_told(error)) from error
            raise ModelRunFailed(_told(error)) from error
        return understood(arrays, len(values), self._description)

    def _checked_input(self, spec: Input) -> str:
        inputs = self._session.get_inputs()
        described = (3, spec.height_px, spec.width_px) if spec.layout == "NCHW" else (spec.height_px, spec.width_px, 3)
        if len(inputs) == 1:
            n_frames, *shape = inputs[0].shape or [None]
            self._n_at_once: int | str | None = n_frames
            fits = all(not isinstance(has, int) or has == told for has, told in zip(shape, described, strict=False))
            if len(shape) == 3 and fits and inputs[0].type == _TYPES[spec.dtype]:
                return str(inputs[0].name)
        has = "; ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise ModelUnfit(
            f"Expected model {self._description.id} to take one input {_TYPES[spec.dtype]} of (frames, "
            f"{', '.join(map(str, described))}), it takes {has}. Mend `input` of its description.",
            ModelCode.INPUT_MISMATCH,
        )

    def _chosen_outputs(self, description: ModelDescription) -> list[str]:
        has = [str(each.name) for each in self._session.get_outputs()]
        output = description.output
        named = output.outputs if isinstance(output, Detection) else (output.output or has[0],)
        wanted = list(named) or has
        if missing := [name for name in wanted if name not in has]:
            raise ModelUnfit(
                f"Expected model {description.id} to give {missing}, it gives {has}. Mend `output` of its description.",
                ModelCode.OUTPUT_MISMATCH,
            )
        return wanted


def as_values(frames: Pixels, spec: Input) -> Array:
    """The frames as the model's one input takes them."""
    values: Array = frames if spec.channels == "RGB" else frames[..., ::-1]
    if spec.dtype != "uint8":
        mean, std = (spec.mean, spec.std) if spec.channels == "RGB" else (spec.mean[::-1], spec.std[::-1])
        values = normalize(np.ascontiguousarray(values), spec.scale, mean, std, "hwc").astype(spec.dtype)
    return np.ascontiguousarray(values if spec.layout == "NHWC" else values.transpose(0, 3, 1, 2))


def understood(arrays: Sequence[Array], n_frames: int, description: ModelDescription) -> list[Answer]:
    """What a model's outputs say of each frame.

    Raises:
        ModelUnfit: they have another shape than is described.
    """
    if any(array.ndim == 0 or len(array) != n_frames for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ModelUnfit(
            f"Expected outputs for {n_frames} frames from model {description.id}, got {shapes}. Export it so that the "
            f"first axis of each output is that of the frames.",
            ModelCode.OUTPUT_MISMATCH,
        )
    output, n_labels = description.output, len(description.labels)
    if isinstance(output, Detection):
        return list(boxes_of(arrays, n_labels, output, description.input))
    scores = arrays[0].reshape(n_frames, -1).astype(np.float64)
    require_scores(scores.shape[1:], n_labels)
    return [ClassScores(row) for row in scores]


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY  # what it says comes as an exception as well
    return options


def _is_of_memory(error: Exception) -> bool:
    """The runtime's allocations fail as C++ has it, wrapped in an exception of any kind."""
    return isinstance(error, MemoryError) or any(told in str(error) for told in _NO_MEMORY)


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
