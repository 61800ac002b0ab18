"""One formula holds for every stored row; names are unique; nonsense is refused with a reason."""

import itertools
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.media.tensors import (
    NORMALIZATIONS,
    TensorSpec,
    make_tensor,
    normalize,
)
from media_assets_tests.examples import few
from media_assets_tests.media.pictures import make_photo

IMAGENET = NORMALIZATIONS["imagenet"]


def stored_array(pixels: Any, spec: TensorSpec) -> Any:
    """The stored numbers of one picture's tensor."""
    dtype = np.dtype(spec.dtype).newbyteorder("<")
    return np.frombuffer(make_tensor(pixels, spec), dtype).reshape(spec.shape_for(pixels.shape[1], pixels.shape[0]))


def normalized(spec: TensorSpec, pixels: Any) -> Any:
    stored = stored_array(pixels, spec)
    affine = spec.affine
    result = normalize(stored, affine.scale, affine.mean, affine.std, spec.layout)
    return result if spec.layout == "hwc" else result.transpose(1, 2, 0)


def test_uint8_is_the_picture_and_its_map_is_exact() -> None:
    spec = TensorSpec()
    pixels = make_photo(0)
    levels = stored_array(pixels, spec)
    by_definition = (levels.astype(np.float64) / 255 - IMAGENET[0]) / IMAGENET[1]
    assert np.abs(normalized(spec, pixels) - by_definition).max() < 1e-6
    square = make_photo(0, (256, 256))  # the crop needs no resizing: what is stored is what was there
    assert (stored_array(square, spec) == square[16:240, 16:240]).all()


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("preset", NORMALIZATIONS)
@pytest.mark.parametrize("fit", ["crop", "pad", "shorter_side"])
def test_all_types_agree_within_their_stated_bounds(fit: str, preset: str, layout: str) -> None:
    mean, std = NORMALIZATIONS[preset]
    pixels = make_photo(1)
    specs = [
        TensorSpec(fit=fit, layout=layout, dtype=t, mean=mean, std=std)  # type: ignore[arg-type]
        for t in ("uint8", "float32", "float16")
    ]
    exact, single, half = (normalized(spec, pixels) for spec in specs)
    assert np.abs(single - exact).max() < 1e-5
    assert np.abs(half - exact).max() <= 1e-3
    assert (np.abs(half - exact) <= 2**-11 * np.abs(exact) + 1e-6).all()
    assert exact.std() > 0.1


def test_layouts_hold_the_same_numbers() -> None:
    pixels = make_photo(2)
    hwc = stored_array(pixels, TensorSpec())
    chw = stored_array(pixels, TensorSpec(layout="chw"))
    assert (hwc.transpose(2, 0, 1) == chw).all()


@pytest.mark.parametrize(("dtype", "on_disk"), [("float16", "<f2"), ("float32", "<f4")])
def test_floats_are_stored_little_endian(dtype: str, on_disk: str) -> None:
    tensor = make_tensor(np.full((4, 4, 3), 255, np.uint8), TensorSpec(dtype=dtype))  # type: ignore[arg-type]
    expected = (1 - np.array(IMAGENET[0])) / IMAGENET[1]
    assert np.frombuffer(tensor, on_disk)[:3] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_a_batch_is_normalized_like_its_members(layout: str) -> None:
    spec = TensorSpec(size=(8, 6), resize_shorter_px=8, layout=layout)  # type: ignore[arg-type]
    batch = np.stack([stored_array(make_photo(s, (32, 24)), spec) for s in range(3)])
    whole = normalize(batch, 1 / 255, *IMAGENET, spec.layout)
    for one, many in zip(batch, whole, strict=True):
        assert (normalize(one, 1 / 255, *IMAGENET, spec.layout) == many).all()
    assert whole.dtype == np.float32


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (TensorSpec(), (224, 224, 3)),
        (TensorSpec(size=(96, 128)), (96, 128, 3)),
        (TensorSpec(layout="chw"), (3, 224, 224)),
        (TensorSpec(fit="pad", size=(100, 50)), (100, 50, 3)),
        (TensorSpec(fit="shorter_side"), (256, 341, 3)),
        (TensorSpec(fit="shorter_side", layout="chw"), (3, 256, 341)),
    ],
)
def test_the_shape_is_the_arrays(spec: TensorSpec, shape: tuple[int, int, int]) -> None:
    assert spec.shape_for(1024, 768) == shape
    assert spec.shape == (None if spec.fit == "shorter_side" else shape)
    pixels = make_photo(0)
    assert len(make_tensor(pixels, spec)) == np.prod(spec.shape_for(256, 192))


def test_padding_has_its_colour_and_surrounds_the_picture() -> None:
    spec = TensorSpec(size=(64, 64), fit="pad", pad_colour=(9, 99, 199))
    tensor = stored_array(make_photo(0), spec)
    assert (tensor[:8] == (9, 99, 199)).all()
    assert (tensor[-8:] == (9, 99, 199)).all()
    assert not (tensor[8:56] == (9, 99, 199)).all(axis=2).any()


def test_a_tiny_picture_is_enlarged() -> None:
    pixels = np.full((1, 1, 3), (10, 20, 30), np.uint8)
    assert (stored_array(pixels, TensorSpec()) == (10, 20, 30)).all()


def test_the_name_of_the_default_is_readable() -> None:
    assert TensorSpec().name == "crop224x224of256-bicubic-hwc-uint8-imagenet"
    assert TensorSpec(fit="pad", size=(64, 32)).name == "pad64x32on000000-bicubic-hwc-uint8-imagenet"
    assert TensorSpec(mean=(0.1, 0.2, 0.3)).name == "crop224x224of256-bicubic-hwc-uint8-n4376bd3611"


def test_names_are_unique_and_safe() -> None:
    specs = {
        TensorSpec(size=s, fit=f, resize_shorter_px=r, resampling=i, layout=a, dtype=t, mean=m, pad_colour=p)  # type: ignore[arg-type]
        for s, f, r, i, a, t, m, p in itertools.product(
            ((224, 224), (224, 192)),
            ("crop", "pad", "shorter_side"),
            (256, 288),
            ("bicubic", "area"),
            ("hwc", "chw"),
            ("uint8", "float16"),
            (IMAGENET[0], (0.1, 0.2, 0.3), (0.1, 0.2, 0.30000001)),
            ((0, 0, 0), (0, 0, 255)),
        )
    }
    names = {spec.name for spec in specs}
    assert len(names) == len(specs) > 200
    assert all(re.fullmatch(r"[a-z0-9_-]{1,80}", name) for name in names)


def test_fields_that_a_fit_does_not_use_make_no_difference() -> None:
    assert TensorSpec(fit="pad", resize_shorter_px=999) == TensorSpec(fit="pad")
    assert TensorSpec(fit="shorter_side", size=(9, 9)) == TensorSpec(fit="shorter_side")
    assert TensorSpec(pad_colour=(1, 2, 3)) == TensorSpec()


def test_a_spec_survives_json() -> None:
    spec = TensorSpec(size=(64, 48), fit="pad", pad_colour=(1, 2, 3), dtype="float16")
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TensorSpec) == spec


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"size": (0, 224)}, "1 to 4096"),
        ({"size": (224, 5000)}, "1 to 4096"),
        ({"fit": "shorter_side", "resize_shorter_px": 5000}, "1 to 4096"),
        ({"resize_shorter_px": 200}, "at least the crop's longer side 224"),
        ({"fit": "stretch"}, "crop, pad, shorter_side"),
        ({"resampling": "nearest"}, "bicubic"),
        ({"dtype": "float64"}, "float16"),
        ({"layout": "nchw"}, "hwc"),
        ({"std": (0.2, 0.0, 0.2)}, "above 0"),
        ({"mean": (float("nan"), 0.0, 0.2)}, "finite"),
        ({"dtype": "float16", "std": (1e-6, 1.0, 1.0)}, "float32"),
        ({"fit": "pad", "pad_colour": (0, 0, 256)}, "0 to 255"),
    ],
)
def test_a_spec_that_cannot_be_computed_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TensorSpec(**wrong)


@given(
    width=st.integers(1, 80),
    height=st.integers(1, 80),
    fit=st.sampled_from(["crop", "pad"]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_every_picture_gives_its_shape(width: int, height: int, fit: str, size: tuple[int, int]) -> None:
    spec = TensorSpec(size=size, fit=fit, resize_shorter_px=40)  # type: ignore[arg-type]
    pixels = np.full((height, width, 3), 77, np.uint8)
    tensor = make_tensor(pixels, spec)
    assert len(tensor) == size[0] * size[1] * 3
    if fit == "crop":
        assert set(tensor) == {77}


MEANS = st.tuples(*[st.floats(-1, 2, width=32)] * 3)
STDS = st.tuples(*[st.floats(0.0625, 4, width=32)] * 3)


@few(30)
@given(mean=MEANS, std=STDS, seed=st.integers(0, 999), layout=st.sampled_from(["hwc", "chw"]))
def test_what_is_stored_is_within_half_a_step_of_what_was_meant(
    mean: tuple[float, float, float], std: tuple[float, float, float], seed: int, layout: str
) -> None:
    """A step of uint8 is 1/255 before, and 1/255/std after normalization."""
    meant = np.random.default_rng(seed).random((4, 4, 3))
    pixels = np.rint(meant * 255).astype(np.uint8)
    by_definition = (meant - mean) / std
    half_a_step = 0.5 / 255 / np.asarray(std) + 1e-5
    results = {}
    for dtype in ("uint8", "float32", "float16"):
        spec = TensorSpec(
            size=(4, 4),
            resize_shorter_px=4,
            mean=mean,
            std=std,
            dtype=dtype,
            layout=layout,  # type: ignore[arg-type]
        )
        results[dtype] = normalized(spec, pixels)
    assert (np.abs(results["uint8"] - by_definition) <= half_a_step).all()
    scale = np.abs(results["uint8"]) + 1
    assert (np.abs(results["float32"] - results["uint8"]) <= 1e-5 * scale).all()
    assert (np.abs(results["float16"] - results["uint8"]) <= 2**-11 * np.abs(results["uint8"]) + 1e-5 * scale).all()
