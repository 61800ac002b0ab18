"""High dynamic range to sRGB, by one fixed curve: the same picture always becomes the same still.

Light up to half of the reference white (203 nits, ITU-R BT.2408) is kept as it is; what is brighter is rolled off, up
to 1000 nits, by the brightest of the three channels, so that hues stay. Colours outside of sRGB are clipped. Not here:
which videos are meant (`upright.py`).
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from media_assets.media.resize import Pixels

Transfer = Literal["pq", "hlg"]

_WHITE_NITS, _PEAK_NITS, _KNEE = 203.0, 1000.0, 0.5
_TO_709 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
"""ITU-R BT.2087: BT.2020 to BT.709, linear light."""
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)

Light = npt.NDArray[np.float32]


def tone_mapped(coded: npt.NDArray[np.uint16], transfer: Transfer) -> Pixels:
    """(height, width, 3) uint8 sRGB of a coded BT.2020 picture, (height, width, 3) uint16 at full range."""
    light = _pq_nits()[coded] if transfer == "pq" else _hlg_nits(coded)
    light = np.maximum((light / np.float32(_WHITE_NITS)) @ _TO_709.T, 0)
    brightest = light.max(axis=2, keepdims=True)
    light = light * _rolled_off(brightest) / np.maximum(brightest, np.float32(1e-6))
    steps = np.clip(light * 4095 + 0.5, 0, 4095).astype(np.uint16)
    pixels: Pixels = _srgb_steps()[steps]
    return pixels


def _rolled_off(light: Light) -> Light:
    """The curve: itself below the knee, then bent so that the peak becomes 1."""
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    over = np.maximum((light - _KNEE) / (1 - _KNEE), 0)
    bent = _KNEE + (1 - _KNEE) * over * (1 + over / peak**2) / (1 + over)
    return np.asarray(np.minimum(np.where(light <= _KNEE, light, bent), 1), np.float32)


@cache
def _pq_nits() -> Light:
    """Nits of each of 65536 code values (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.linspace(0, 1, 65536) ** (1 / m2)
    return np.asarray(10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1), np.float32)


def _hlg_nits(coded: npt.NDArray[np.uint16]) -> Light:
    """Nits on a display of 1000 (ITU-R BT.2100: inverse OETF, then the OOTF of gamma 1.2)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    code = np.linspace(0, 1, 65536)
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
    light = scene[coded]
    luma = np.maximum(light @ _BT2020_LUMA, 1e-6)[..., None]
    return np.asarray(light * luma**0.2 * _PEAK_NITS, np.float32)


@cache
def _srgb_steps() -> Pixels:
    """8-bit sRGB of 4096 steps of linear light."""
    light = np.linspace(0, 1, 4096)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(coded * 255).astype(np.uint8)
