"""One raw file of any kind that is taken in, read once: a still becomes a frame, a video is looked at as a whole.

Which of the two it is, its bytes say. Not here: either reading (`still.py`, `video/`).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from media_assets.errors import ErrorCode, ItemError
from media_assets.media.identity import require_same_file
from media_assets.media.sniff import HEAD_BYTES, sniff
from media_assets.media.still import StillRead, StillRequest, read_still
from media_assets.media.video.opening import VIDEO_MIMES, VideoFile, VideoLimits
from media_assets.media.video.probe import VideoProbe, examine, require_whole


class ItemFile(VideoFile, Protocol):
    """A file that can be read as a whole as well, from where it stands."""

    def read(self, n_bytes: int = -1, /) -> bytes:
        """At most so many bytes from here, all of them by default; none at the end."""


class ItemRead(msgspec.Struct):
    """What one read gave: `still` or `video`, and never both."""

    still: StillRead | None = None
    video: VideoProbe | None = None


def read_item(file: ItemFile, request: StillRequest) -> ItemRead:
    """Judge a raw file, and read it as what it is. A video has to be whole, and to show something.

    Raises:
        ItemError: as `read_still` and `probe_video`; NO_VIDEO also for sound in a container of videos.
    """
    mime = sniff(file.read(HEAD_BYTES))
    n_bytes = file.seek(0, 2)
    file.seek(0)
    if mime not in VIDEO_MIMES:
        return ItemRead(still=read_still(file.read(n_bytes), request))  # its size told, it is held once
    if request.expected_sha256 is not None:
        require_same_file(file, request.expected_sha256)
    limits = VideoLimits(max_pixels=request.limits.max_pixels)
    probe, index = examine(file, limits)
    require_whole(probe)
    if probe.pictures is None or index is None or not len(index.shown):
        raise ItemError(
            ErrorCode.NO_VIDEO, f"Expected a video, got {probe.mime} with sound ({len(probe.sounds)}) and no pictures."
        )
    return ItemRead(video=probe)
