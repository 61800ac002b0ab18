"""One read of a still: upright, sRGB, lossless, without metadata; the same tensors from the file and from its frame."""

import hashlib
import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.containers.jpeg import examine_jpeg
from media_assets.media.identity import media_id
from media_assets.media.still import (
    FrameRead,
    StillLimits,
    StillRead,
    StillRequest,
    frame_pixels,
    read_frame,
    read_still,
)
from media_assets.media.tensors import TensorSpec, make_tensor, tensor_shape
from media_assets_tests.examples import few
from media_assets_tests.media import pictures
from media_assets_tests.media.pictures import (
    AWKWARD,
    PLANTED,
    Pixels,
    awkward,
    exif_bytes,
    make_avif,
    make_heic,
    make_jpeg,
    make_marked,
    make_photo,
    quarters,
    save,
)

SPEC = TensorSpec()


def frame_of(data: bytes, **request: Any) -> tuple[FrameRead, bytes, Pixels]:
    """The frame, its blob, its pixels."""
    frame = read_still(data, StillRequest(**request)).frame
    assert frame is not None
    blob = data if frame.data is None else frame.data
    return frame, blob, frame_pixels(blob)


# ---------------------------------------------------------------------------------------------- the invariant


@pytest.mark.parametrize("name", AWKWARD)
def test_the_file_and_its_frame_give_the_same_tensors(name: str) -> None:
    specs = (
        SPEC,
        TensorSpec(fit="pad", layout="chw", dtype="float16"),
        TensorSpec(size=(32, 48), resize_shorter_px=48),
    )
    request = StillRequest(specs=specs, wants_thumbnail=True)
    data = awkward(name)
    read = read_still(data, request)
    assert read.frame is not None
    again = read_frame(data if read.frame.data is None else read.frame.data, request)
    assert again.tensors == read.tensors
    assert again.thumbnail == read.thumbnail
    assert again.frame is None
    size = (read.frame.width_px, read.frame.height_px)
    itemsize = {"uint8": 1, "float16": 2}
    assert [len(t) for t in read.tensors] == [np.prod(tensor_shape(s, *size)) * itemsize[s.dtype] for s in specs]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(AWKWARD)),
    rotation=st.sampled_from([None, 0, 90, 180, 270]),
    spec=st.builds(
        TensorSpec,
        size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
        fit=st.sampled_from(["crop", "pad", "shorter_side"]),
        resize_shorter_px=st.integers(64, 128),
        resampling=st.sampled_from(["bicubic", "bilinear", "lanczos", "area"]),
        layout=st.sampled_from(["hwc", "chw"]),
        dtype=st.sampled_from(["uint8", "float16", "float32"]),
    ),
)
def test_the_file_and_its_frame_give_the_same_tensors_for_any_spec(
    name: str, rotation: int | None, spec: TensorSpec
) -> None:
    request = StillRequest(rotation_degrees=rotation, specs=(spec,))
    read = read_still(awkward(name), request)
    assert read.frame is not None
    blob = awkward(name) if read.frame.data is None else read.frame.data
    assert read_frame(blob, request).tensors == read.tensors


@pytest.mark.parametrize("name", AWKWARD)
def test_the_frame_is_canonical_and_reading_it_again_changes_nothing(name: str) -> None:
    frame, blob, pixels = frame_of(awkward(name))
    assert pixels.shape == (frame.height_px, frame.width_px, 3)
    assert pixels.dtype == np.uint8
    again, same_blob, same_pixels = frame_of(blob)
    assert again.encoding == "original"
    assert again.conversions == ()
    assert same_blob == blob
    assert (same_pixels == pixels).all()
    assert not any(note in blob for note in PLANTED)
    opened = Image.open(io.BytesIO(blob))
    assert opened.mode in ("RGB", "L")
    assert not {"exif", "icc_profile", "xmp", "comment", "photoshop"} & set(opened.info)


@pytest.mark.parametrize("name", ["jpeg-metadata", "png-rgb16", "gif", "jpeg-turned", "heic"])
def test_the_same_file_gives_the_same_bytes(name: str) -> None:
    request = StillRequest(specs=(SPEC,), wants_thumbnail=True)
    first, second = (read_still(bytes(awkward(name)), request) for _ in range(2))
    assert first == second


def test_what_is_not_asked_for_is_not_made() -> None:
    read = read_still(awkward("png-rgba"), StillRequest(wants_frame=False))
    assert read.frame is None
    assert read.tensors == ()
    assert read.thumbnail is None
    assert read.probe.colour_mode == "RGBA"


def test_a_scaled_tensor_is_near_the_tensor_of_the_whole_frame() -> None:
    data = make_jpeg(3, (1024, 768))
    read = read_still(data, StillRequest(specs=(SPEC,)))
    exact = np.frombuffer(make_tensor(frame_pixels(data), SPEC), np.uint8).astype(float)
    assert psnr(np.frombuffer(read.tensors[0], np.uint8).astype(float), exact) > 40


# ---------------------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize(
    "name",
    [
        "jpeg",
        "jpeg-progressive",
        "jpeg-gray",
        "jpeg-444",
        "jpeg-rgb",
        "jpeg-restart",
        "png",
        "png-gray",
        "webp",
        "webp-lossless",
    ],
)
def test_a_canonical_file_is_its_own_frame(name: str) -> None:
    frame, _, _ = frame_of(awkward(name))
    assert (frame.encoding, frame.data, frame.conversions) == ("original", None, ())
    assert frame.mime == f"image/{name.split('-')[0]}"


@pytest.mark.parametrize(
    "name", ["jpeg-metadata", "jpeg-progressive-metadata", "jpeg-srgb-icc", "jpeg-broken-icc", "jpeg-mpo", "jpeg-zip"]
)
def test_a_jpeg_with_metadata_is_stripped_and_its_pixels_are_the_same(name: str) -> None:
    data = awkward(name)
    frame, blob, pixels = frame_of(data)
    assert frame.encoding == "stripped"
    assert frame.mime == "image/jpeg"
    assert (pixels == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()
    assert scan_data(blob) == scan_data(data)
    assert blob.endswith(b"\xff\xd9")
    assert frame.conversions == (("icc_ignored",) if name == "jpeg-broken-icc" else ())


def scan_data(jpeg: bytes) -> bytes:
    return b"".join(jpeg[s.start : s.end] for s in examine_jpeg(jpeg).segments if s.marker == 0xDA)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-progressive", "jpeg-restart", "jpeg-gray", "jpeg-rgb"])
def test_stripping_undoes_adding(name: str) -> None:
    clean = awkward(name)
    _, blob, pixels = frame_of(pictures.with_metadata(clean))
    assert len(blob) == len(clean)
    assert (pixels == frame_pixels(clean)).all()


def test_a_png_or_webp_with_more_than_its_picture_is_written_anew() -> None:
    png, webp = pictures.make_png(1), awkward("webp-lossless")
    for data in (png + b"Planted-Tail", awkward("png-comment"), webp + b"Planted-Tail"):
        frame, blob, pixels = frame_of(data)
        assert frame.encoding == "png"
        assert blob.startswith(b"\x89PNG")
        assert b"Planted" not in blob
        assert (pixels == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_lossless_formats_keep_every_pixel() -> None:
    for form in ("PNG", "TIFF", "BMP"):
        _, _, pixels = frame_of(save(Image.fromarray(make_photo(7)), form))
        assert (pixels == make_photo(7)).all()


@pytest.mark.parametrize("name", ["png-apng", "webp-animation", "gif-animation", "tiff-pages"])
def test_the_first_picture_of_several_is_taken_and_named(name: str) -> None:
    frame, _, pixels = frame_of(awkward(name))
    assert frame.conversions == ("animation_first_frame",)
    assert psnr(pixels, make_photo(0, (64, 48))) > (18 if name == "gif-animation" else 28)


def test_a_multi_picture_jpeg_is_its_first_picture_without_a_note() -> None:
    frame, _, pixels = frame_of(pictures.make_mpo(2))
    assert frame.conversions == ()
    assert psnr(pixels, make_photo(2)) > 28


# ---------------------------------------------------------------------------------------------- orientation


def marked(form: str, orientation: int | None) -> bytes:
    """The marked picture, stored so that the orientation turns it upright."""
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4, None: None}[orientation]
    image = Image.fromarray(make_marked())
    stored = image if undo is None else image.transpose(Image.Transpose(undo))
    pixels = np.asarray(stored)
    exif = exif_bytes(orientation)
    match form:
        case "heic":
            return make_heic(pixels=pixels, exif=exif)
        case "avif":
            return make_avif(pixels=pixels, exif=exif)
        case _:
            return save(stored, form.upper(), exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_every_orientation_is_turned_upright_once(form: str, orientation: int) -> None:
    data = marked(form, orientation)
    frame, _, pixels = frame_of(data, rotation_degrees=90 if orientation != 1 else None)
    assert quarters(pixels) == "RGBK"
    assert (frame.width_px, frame.height_px) == (96, 64)
    assert frame.turned_degrees == 0
    probe = read_still(data, StillRequest()).probe
    assert (probe.width_px, probe.height_px) == ((64, 96) if orientation >= 5 else (96, 64))
    assert (probe.exif_orientation or 1) == orientation


@pytest.mark.parametrize(
    ("counter_clockwise", "clockwise", "seen"),
    [(None, 0, "RGBK"), (0, 0, "RGBK"), (360, 0, "RGBK"), (90, 270, "GKRB"), (180, 180, "KBGR"), (270, 90, "BRKG")],
)
@pytest.mark.parametrize("form", ["jpeg", "png", "heic"])
def test_the_manifests_hint_turns_what_states_no_orientation(
    form: str, counter_clockwise: int | None, clockwise: int, seen: str
) -> None:
    frame, _, pixels = frame_of(marked(form, None), rotation_degrees=counter_clockwise)
    assert frame.turned_degrees == clockwise
    assert quarters(pixels) == seen
    assert frame.width_px == (64 if clockwise in (90, 270) else 96)


def test_the_hint_applies_beside_an_orientation_of_1() -> None:
    frame, _, pixels = frame_of(marked("jpeg", 1), rotation_degrees=180)
    assert frame.turned_degrees == 180
    assert quarters(pixels) == "KBGR"


def test_a_hint_that_is_no_quarter_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 90"):
        StillRequest(rotation_degrees=45)


# ---------------------------------------------------------------------------------------------- the probe


def test_the_probe_tells_what_is_in_the_file() -> None:
    probe = read_still(awkward("jpeg-metadata"), StillRequest()).probe
    assert probe.mime == "image/jpeg"
    assert (probe.has_c2pa, probe.has_location) == (True, True)
    assert probe.captured_at == "2024-05-01T12:30:00"
    assert probe.camera_model == "Planted-Camera X1"
    plain = read_still(awkward("jpeg"), StillRequest()).probe
    assert (plain.has_c2pa, plain.has_location, plain.camera_make) == (False, False, None)


@pytest.mark.parametrize(
    ("name", "depth", "mode"),
    [
        ("jpeg", 8, "RGB"),
        ("jpeg-cmyk", 8, "CMYK"),
        ("png-1-bit", 1, "1"),
        ("png-rgb16", 16, "RGB"),
        ("png-gray16", 16, "I;16"),
        ("tiff-gray16", 16, "I;16"),
        ("tiff-float", 32, "F"),
        ("gif", 8, "P"),
        ("heic", 8, "RGB"),
        ("avif", 8, "RGB"),
    ],
)
def test_depth_and_mode_are_those_of_the_file(name: str, depth: int, mode: str) -> None:
    probe = read_still(awkward(name), StillRequest(wants_frame=False)).probe
    assert (probe.bit_depth, probe.colour_mode) == (depth, mode)


def test_a_profile_is_told() -> None:
    assert read_still(awkward("jpeg-wide-icc"), StillRequest()).probe.has_icc_profile
    assert not read_still(awkward("jpeg"), StillRequest()).probe.has_icc_profile


# ---------------------------------------------------------------------------------------------- damage


WHOLE = ["jpeg", "jpeg-progressive", "jpeg-metadata", "jpeg-cmyk", "png", "webp", "heic", "avif", "bmp", "tiff", "gif"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    data = awkward(name).removesuffix(b"Planted-Tail")
    # of TIFFs and GIFs the last bytes are not the picture's
    end = len(data) - (400 if name == "tiff" else 3 if name == "gif" else 1)
    cuts = sorted({1, 2, 3, 11, 30, end, *range(40, end, max(1, end // 25))})
    codes = set()
    for cut in cuts:
        with pytest.raises(ItemError) as caught:
            read_still(data[:cut], StillRequest(specs=(SPEC,)))
        codes.add(caught.value.code)
        if cut > 200:
            assert caught.value.code is ErrorCode.TRUNCATED, cut
    assert codes <= {ErrorCode.TRUNCATED, ErrorCode.CORRUPT, ErrorCode.UNKNOWN_FORMAT, ErrorCode.UNSUPPORTED_FORMAT}


def read_or_refuse(data: bytes) -> StillRead | ItemError:
    limits = StillLimits(max_pixels=2_000_000, max_total_pixels=4_000_000)
    try:
        return read_still(data, StillRequest(specs=(TensorSpec(size=(16, 16), resize_shorter_px=16),), limits=limits))
    except ItemError as error:
        return error


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    name=st.sampled_from(sorted(set(AWKWARD) - {"jpeg-large"})),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    is_head=st.booleans(),
)
def test_damaged_bytes_have_one_verdict_and_no_crash(name: str, places: list[tuple[float, int]], is_head: bool) -> None:
    data = bytearray(awkward(name))
    reach = min(len(data), 400) if is_head else len(data)
    for place, value in places:
        data[int(place * (reach - 1))] ^= value
    verdict = read_or_refuse(bytes(data))
    if isinstance(verdict, StillRead):
        assert verdict.frame is not None
        blob = bytes(data) if verdict.frame.data is None else verdict.frame.data
        assert frame_pixels(blob).shape == (verdict.frame.height_px, verdict.frame.width_px, 3)
    else:
        assert verdict.message


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), name=st.sampled_from(sorted(AWKWARD)))
def test_a_true_beginning_with_any_end_has_one_verdict(data: bytes, name: str) -> None:
    read_or_refuse(awkward(name)[: len(data)] + data)
    read_or_refuse(data)


@pytest.mark.parametrize("make", [make_jpeg, pictures.make_cmyk_jpeg])
def test_a_jpeg_broken_in_the_middle_is_refused(make: Any) -> None:
    jpeg = bytearray(make(1, (640, 480)))
    noise = random.Random(0)
    middle = len(jpeg) // 2
    jpeg[middle : middle + 200] = bytes(noise.randrange(256) for _ in range(200))
    with pytest.raises(ItemError) as caught:
        read_still(bytes(jpeg), StillRequest())
    assert caught.value.code in (ErrorCode.CORRUPT, ErrorCode.TRUNCATED)


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum() -> None:
    png = bytearray(pictures.make_png())
    png[len(png) // 2] ^= 4
    with pytest.raises(ItemError) as caught:
        read_still(bytes(png), StillRequest())
    assert caught.value.code is ErrorCode.CORRUPT


def test_a_decoder_out_of_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("simplejpeg.decode_jpeg", exhausted)
    with pytest.raises(ItemError) as caught:
        read_still(awkward("jpeg"), StillRequest())
    assert caught.value.code is ErrorCode.DECODER_MEMORY


def test_a_frame_must_be_a_frame() -> None:
    for name in ("png-rgba", "jpeg-cmyk", "tiff", "gif"):
        with pytest.raises(ItemError) as caught:
            read_frame(awkward(name), StillRequest())
        assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT
        assert "published frame" in caught.value.message


def test_an_original_frame_has_the_raw_files_hash() -> None:
    _, blob, _ = frame_of(awkward("jpeg"))
    assert media_id(blob) == hashlib.sha256(awkward("jpeg")).hexdigest()


# ---------------------------------------------------------------------------------------------- the quality gate


def psnr(a: Any, b: Any) -> float:
    error = float(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def reference(jpeg: bytes, whole: tuple[int, int]) -> Any:
    """Full decode, antialiased bicubic in floating point."""
    pixels = frame_pixels(jpeg)
    channels = [Image.fromarray(pixels[:, :, c].astype(np.float32)) for c in range(3)]
    return np.dstack([np.asarray(c.resize(whole, Image.Resampling.BICUBIC)) for c in channels])


def drafted(jpeg: bytes, whole: tuple[int, int]) -> Any:
    """The gate: Pillow's scaled decode and bicubic."""
    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", whole)
    return np.asarray(image.resize(whole, Image.Resampling.BICUBIC))


def test_tensors_are_at_least_as_good_as_pillows_draft_and_bicubic() -> None:
    ours, gate = [], []
    for seed, size in enumerate([(1024, 768), (768, 1024), (1024, 683), (800, 600)] * 2):
        jpeg = make_jpeg(seed, size)
        width, height = size
        whole = (256, 256 * height // width) if width <= height else (256 * width // height, 256)
        left, top = (whole[0] - 224) // 2, (whole[1] - 224) // 2
        cut = np.s_[top : top + 224, left : left + 224]
        expected = np.clip(reference(jpeg, whole), 0, 255)[cut]
        tensor = read_still(jpeg, StillRequest(specs=(SPEC,))).tensors[0]
        ours.append(psnr(np.frombuffer(tensor, np.uint8).reshape(224, 224, 3), expected))
        gate.append(psnr(drafted(jpeg, whole)[cut], expected))
    assert np.mean(ours) >= np.mean(gate) - 0.1
    assert min(ours) >= min(gate) - 0.1
    assert min(gate) > 30


# ---------------------------------------------------------------------------------------------- what a PNG hides


def rebuilt(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (zlib.compress(bytes(73 * 9)), ErrorCode.TRUNCATED),  # nine rows of seventeen, and a proper end
        (zlib.compress(bytes(73 * 17))[:-9], ErrorCode.TRUNCATED),
        (b"nonsense" * 30, ErrorCode.CORRUPT),
        (zlib.compress((b"\x09" + bytes(72)) * 17), ErrorCode.CORRUPT),  # no such filter
    ],
    ids=["rows-missing", "cut", "nonsense", "filter-9"],
)
def test_a_png_with_damaged_pixels_is_refused_though_its_checksums_are_right(pixels: bytes, code: ErrorCode) -> None:
    header = pictures.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 17, 8, 2, 0, 0, 0))
    end = pictures.png_chunk(b"IEND", b"")
    exif = pictures.png_chunk(b"eXIf", exif_bytes(1)[6:])
    for extra in ((), (exif,)):
        with pytest.raises(ItemError) as caught:
            read_still(rebuilt(header, *extra, pictures.png_chunk(b"IDAT", pixels), end), StillRequest())
        assert caught.value.code is code


def test_an_orientation_behind_the_pixels_of_a_png_is_applied() -> None:
    png = save(Image.fromarray(np.rot90(pictures.make_marked())), "PNG")
    late = png[:-12] + pictures.png_chunk(b"eXIf", exif_bytes(6)[6:]) + png[-12:]
    assert quarters(frame_of(late)[2]) == "RGBK"


def test_a_palette_picture_without_a_palette_is_refused() -> None:
    header = pictures.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 17, 8, 3, 0, 0, 0))
    pixels = pictures.png_chunk(b"IDAT", zlib.compress(bytes(25 * 17)))
    with pytest.raises(ItemError) as caught:
        read_still(rebuilt(header, pixels, pictures.png_chunk(b"IEND", b"")), StillRequest())
    assert caught.value.code is ErrorCode.CORRUPT


# ---------------------------------------------------------------------------------------------- properties


@few(25)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 999),
    orientation=st.none() | st.integers(1, 8),
    hint=st.sampled_from([None, 0, 90, 180, 270]),
)
def test_every_turn_is_undone_exactly_once(
    size: tuple[int, int], seed: int, orientation: int | None, hint: int | None
) -> None:
    """PNGs are lossless, so the frame is the picture itself, pixel for pixel, or turned by the hint alone."""
    upright = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    stored = Image.fromarray(upright)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation or 1)
    if undo is not None:
        stored = stored.transpose(Image.Transpose(undo))
    options = {} if orientation is None else {"exif": exif_bytes(orientation)}
    frame, _, pixels = frame_of(save(stored, "PNG", **options), rotation_degrees=hint)
    turns = 0 if (orientation or 1) != 1 else (hint or 0) // 90
    assert (pixels == np.rot90(upright, turns)).all()
    assert frame.turned_degrees == -90 * turns % 360
