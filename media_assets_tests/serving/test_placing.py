"""Filling samples: every stored form into every output equals the plain formula."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.serving.files import Form
from media_assets.serving.placing import laid_out, placer

FORMS = list(itertools.product(["uint8", "float16", "float32"], ["hwc", "chw"]))


def form_of(dtype: str, layout: str, height: int, width: int) -> Form:
    shape = (height, width, 3) if layout == "hwc" else (3, height, width)
    return Form("spec", shape, layout, dtype, 1.0, (0.0,) * 3, (1.0,) * 3)


def stored_of(form: Form, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if form.dtype == "uint8":
        return rng.integers(0, 256, form.shape, dtype=np.uint8)
    return rng.normal(size=form.shape).astype(form.stored_type)


def at_an_odd_address(content: bytes, offset: int) -> np.ndarray:
    """As in a mapped file: read-only, at any alignment."""
    view = np.frombuffer(bytes(offset) + content, np.uint8)[offset:]
    assert not view.flags.writeable
    return view


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FORMS),
    st.sampled_from(["nchw", "nhwc"]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 7),
    st.booleans(),
)
def test_samples_equal_the_formula(
    kind: tuple[str, str], layout: str, height: int, width: int, offset: int, is_identity: bool
) -> None:
    form = form_of(*kind, height, width)
    stored = stored_of(form, height * width)
    a, b = (np.ones(3), np.zeros(3)) if is_identity else (np.array([0.5, 2.0, 3.0]), np.array([-1.0, 0.25, 7.0]))
    place = placer(form, (a.astype(np.float32), b.astype(np.float32)), layout, "float32")
    sample = np.empty(laid_out(form.shape, form.layout, layout), np.float32)
    value = at_an_odd_address(stored.tobytes(), offset)
    if place is None:
        sample.reshape(-1).view(np.uint8)[...] = value
    else:
        place(sample, value)
    as_hwc = stored.astype(np.float64) if form.layout == "hwc" else stored.astype(np.float64).transpose(1, 2, 0)
    expected = as_hwc * a + b
    got = sample if layout == "nhwc" else sample.transpose(1, 2, 0)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_bytes_are_only_copied_where_nothing_changes(layout: str) -> None:
    nothing = (np.ones(3, np.float32), np.zeros(3, np.float32))
    for dtype, stored_layout in FORMS:
        is_same = stored_layout == layout[1:]
        form = form_of(dtype, stored_layout, 2, 3)
        if dtype != "float16":
            assert (placer(form, nothing, layout, dtype) is None) == is_same
        assert placer(form, (nothing[0] * 2, nothing[1]), layout, "float32") is not None
