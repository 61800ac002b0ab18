"""Known problems of pinned versions that the project stays out of reach of: each with what does that, and its test.

An entry is for one version: whoever raises a pin looks at it again. Advisories named here are no failure of `audit`.
"""

from __future__ import annotations

from dataclasses import dataclass

_MEDIA = "media_assets_tests/media"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a pinned version, why it does no harm here, and the test that holds that."""

    package: str
    version: str
    what: str
    mitigation: str
    test: str  # path::name
    ids: frozenset[str] = frozenset()  # of advisories, where there are any


PROBLEMS = (
    Problem(
        "opencv-python-headless",
        "4.12.0.88",
        "Its wheel carries an old FFmpeg (5.1) and OpenSSL 1.1, which gets no more corrections. `cv2.VideoCapture` "
        "opens playlists and scripts that name other files, whatever they are called.",
        "OpenCV is given pixels, never files: the functions of it that may be called are listed.",
        "media_assets_tests/supply/test_problems.py::test_opencv_is_given_pixels_only",
    ),
    Problem(
        "av",
        "18.1.0",
        "Its FFmpeg (8.1.2) follows playlists and scripts to other files and servers; a child playlist escapes "
        "the check of its parent. 19 has a later one, and needs Python 3.12.",
        "Bytes are sniffed, libav is given one demuxer that reads no playlist, and every other file is refused.",
        f"{_MEDIA}/video/test_opening.py::test_a_playlist_is_no_video_even_for_a_demuxer_that_is_told_so",
        frozenset({"CVE-2026-107697"}),
    ),
    Problem(
        "pillow",
        "13.0.0",
        "It warns of pictures over 89 megapixels and opens them up to 179, and has no limit of frames times pixels.",
        "Headers are held against limits of our own before anything is decoded, in a process with limited memory.",
        f"{_MEDIA}/test_pictures.py::test_frames_and_frames_times_canvas_are_capped",
    ),
    Problem(
        "pillow",
        "13.0.0",
        "`Image.open` tries every reader that it has, rarely used ones (FITS, EPS, JPEG 2000) among them.",
        "Eight readers are called by name, after the kind was told from the first bytes.",
        "media_assets_tests/supply/test_problems.py::test_no_other_reader_of_pillow_is_reached",
    ),
    Problem(
        "pillow_heif",
        "1.8.1",
        "It opens a HEIC that was cut off.",
        "The boxes of the file are walked before, and have to be whole.",
        f"{_MEDIA}/containers/test_bmff.py::test_a_cut_file_is_seen_by_its_boxes",
    ),
    Problem(
        "simplejpeg",
        "1.9.0",
        "It ignores EXIF orientation, and turns CMYK into RGB without a word.",
        "Orientation is applied by us; what is not plain RGB or gray goes to Pillow.",
        f"{_MEDIA}/test_still.py::test_every_orientation_is_turned_upright_once",
    ),
    Problem(
        "aiohttp",
        "3.14.5",
        "Bytes that a server sends beyond its answer become the beginning of the next one on the same connection.",
        "A kept connection is looked at before it is used again, and closed when anything lies on it.",
        "media_assets_tests/ingest/fetch/test_downloader.py::"
        "test_next_item_is_not_poisoned_when_a_server_sends_more_than_announced",
    ),
    Problem(
        "deltalake",
        "1.6.6",
        "An empty commit file is read as a commit without rows, and a shortened data file ends in a panic.",
        "A table is examined when it is opened, and refused with the way to restore it.",
        "media_assets_tests/lake/test_damage.py::test_a_damaged_table_is_refused_until_a_copy_is_put_back",
    ),
    Problem(
        "dagster-webserver",
        "1.13.27",
        "It has no log-in: whoever reaches its port can start runs and delete assets.",
        "`make dev` binds to 127.0.0.1. Put a proxy that asks who is there before any other use.",
        "media_assets_tests/supply/test_problems.py::test_the_ui_listens_on_this_machine_only",
    ),
)
