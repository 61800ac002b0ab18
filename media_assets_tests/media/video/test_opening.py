"""libav reaches one file through `read` and `seek`, by the one demuxer that its bytes ask for, and nothing else."""

import io
import re
from contextlib import suppress
from pathlib import Path

import av
import pytest

import media_assets
from media_assets.errors import ErrorCode, ItemError
from media_assets.media.video.keyframes import KeyframeRequest, keyframes
from media_assets.media.video.opening import DEMUXERS, VideoLimits, opened, pictures_of, prepare, sniffed
from media_assets.media.video.probe import probe_video
from media_assets_tests.media.video.clips import clip


def verdict(data: bytes) -> ErrorCode:
    with pytest.raises(ItemError) as caught:
        probe_video(io.BytesIO(data))
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ErrorCode.EMPTY),
        (b"\x07" * 500, ErrorCode.UNKNOWN_FORMAT),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", ErrorCode.UNSUPPORTED_FORMAT),
        (b"ffconcat version 1.0\nfile a.mp4\n", ErrorCode.UNSUPPORTED_FORMAT),
        (b"<html><body>404</body></html>", ErrorCode.UNSUPPORTED_FORMAT),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), ErrorCode.NO_VIDEO),
        (b"ID3\x04" + bytes(64), ErrorCode.NO_VIDEO),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(16), ErrorCode.TRUNCATED),
        (b"\x1aE\xdf\xa3" + b"\xff" * 60, ErrorCode.CORRUPT),
    ],
)
def test_what_is_no_video_is_refused_with_its_cause(data: bytes, code: ErrorCode) -> None:
    assert verdict(data) is code


def test_a_playlist_is_no_video_even_for_a_demuxer_that_is_told_so(tmp_path: Path) -> None:
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(clip("h264"))
    for script in (f"#EXTM3U\n#EXTINF:1,\n{victim}\n", f"ffconcat version 1.0\nfile '{victim}'\n"):
        for mime in DEMUXERS:
            with suppress(ItemError), opened(io.BytesIO(script.encode()), mime) as container:
                assert not container.streams


def test_no_other_demuxer_is_tried() -> None:
    for name, mime in (("vp9", "video/mp4"), ("h264", "video/webm"), ("h264-flv", "video/mp2t")):
        with pytest.raises(ItemError), opened(io.BytesIO(clip(name)), mime) as container:  # noqa: PT012
            assert not container.streams, "an empty transport stream is no error"
            raise ItemError(ErrorCode.CORRUPT, "nothing in it")


def test_the_name_of_a_file_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_bytes(clip("h264"))
    with path.open("rb") as file:
        assert len(list(keyframes(file, KeyframeRequest("codec")))) == 3


def test_another_file_is_never_opened() -> None:
    # a reference to sound in another file, which old players followed
    with (
        opened(io.BytesIO(clip("h264")), "video/mp4") as container,
        pytest.raises(PermissionError, match="other files"),
    ):
        container.io_open("file:///etc/hostname", 1, {})


def test_a_disk_that_fails_is_not_the_bytes_fault() -> None:
    class Failing(io.BytesIO):
        def read(self, n_bytes: int | None = -1) -> bytes:
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(min(n_bytes or 0, 500))

    for use in (probe_video, lambda file: list(keyframes(file, KeyframeRequest("codec")))):
        with pytest.raises(ItemError, match="could not be read") as caught:
            use(Failing(clip("h264")))
        assert caught.value.code is ErrorCode.STORAGE_FAILED


def test_files_are_opened_in_one_place() -> None:
    # and scenedetect, which can open files as well, is given pictures only
    package = Path(media_assets.__file__).parent
    sources = {path.relative_to(package).as_posix(): path.read_text("utf-8") for path in package.rglob("*.py")}
    openers = [name for name, text in sources.items() if re.search(r"\bav\.open\b|from av import .*open", text)]
    assert sorted(openers) == ["demo/clips.py", "media/video/opening.py"]
    written = re.findall(r"\bav\.open\(.*", sources["demo/clips.py"])
    assert written == ['av.open(str(path), "w", format="webm") as out:']
    taken = {line for text in sources.values() for line in re.findall(r"^.*scenedetect.*$", text, re.M)}
    assert {line for line in taken if "import" in line} == {
        "from scenedetect.common import FrameTimecode, Timecode",
        "from scenedetect.detectors.content_detector import ContentDetector",
    }


def test_only_listed_formats_have_a_demuxer() -> None:
    assert set(DEMUXERS.values()) == {"mov", "matroska", "mpegts", "avi", "flv"}
    for name in ("h264", "vp9", "h264-ts", "mpeg4-avi", "h264-flv", "sound"):
        assert sniffed(io.BytesIO(clip(name))) in DEMUXERS


def test_the_libav_of_the_wheel_is_the_one_that_was_looked_at() -> None:
    # below 8.1.3 a child playlist escapes its check (CVE-2026-107697): no playlist demuxer may be reached
    assert av.ffmpeg_version_info == "8.1.2"
    with pytest.raises(ItemError):
        probe_video(io.BytesIO(b"#EXTM3U\n"))


@pytest.mark.parametrize("name", ["h264", "av1", "vp9"])
def test_a_decoder_has_one_thread(name: str) -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    data = clip(name)
    mime = "video/webm" if name == "vp9" else "video/mp4"
    with opened(io.BytesIO(data), mime) as container:
        stream = pictures_of(container)
        assert stream is not None
        prepare(stream, VideoLimits())
        next(iter(container.decode(stream)))
        assert len(list(Path("/proc/self/task").iterdir())) == before
