"""Forms: any way of cutting one into chunks gives the same files; half a form is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from media_assets.ingest.uploads.forms import FileBegins, FileEnds, form_events
from media_assets.ingest.uploads.refusals import UploadCode, UploadRefused

KIND = "multipart/form-data; boundary=xyz"


def form(files: list[tuple[str, bytes]], field: bytes = b"hello") -> bytes:
    parts = [b'--xyz\r\nContent-Disposition: form-data; name="note"\r\n\r\n' + field + b"\r\n"]
    for name, data in files:
        head = (
            f'--xyz\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        )
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + b"--xyz--\r\n"


def read(body: bytes, cuts: list[int], kind: str = KIND) -> list[tuple[str, bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        at = 0
        for cut in sorted(cuts):
            yield body[at:cut]
            at = max(at, cut)
        yield body[at:]

    async def files() -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        is_open = False
        async for event in form_events(kind, chunks()):
            if isinstance(event, FileBegins):
                found.append((event.name, b""))
                is_open = True
            elif isinstance(event, FileEnds):
                is_open = False
            else:
                found[-1] = (found[-1][0], found[-1][1] + event)
        assert not is_open
        return found

    return asyncio.run(files())


DATA = st.lists(st.sampled_from([b"\r\n", b"--xyz", b"--", b"\r", b"\n--xy", b"\x00", b"cat"]), max_size=12).map(
    b"".join
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(DATA.filter(lambda data: b"\r\n--xyz" not in b"\r\n" + data), max_size=3), st.lists(st.integers(0, 400))
)
@example([b"\r\n--xy", b""], [1, 2, 3])
def test_any_cut_of_a_form_gives_its_files(datas: list[bytes], cuts: list[int]) -> None:
    files = [(f"{i}.png", data) for i, data in enumerate(datas)]
    body = form(files)
    assert read(body, [min(cut, len(body)) for cut in cuts]) == files


@pytest.mark.parametrize("n_missing", [1, 5, 9, 40, 150])
def test_half_a_form_is_refused(n_missing: int) -> None:
    body = form([("a.png", b"cat" * 20)])
    n_missing += 3  # the last line break says nothing
    with pytest.raises(UploadRefused) as refused:
        read(body[:-n_missing], [])
    assert refused.value.code is UploadCode.BAD_REQUEST


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/json", UploadCode.UNSUPPORTED_MEDIA_TYPE),
        (b"", "multipart/form-data", UploadCode.UNSUPPORTED_MEDIA_TYPE),
        (b"", "", UploadCode.UNSUPPORTED_MEDIA_TYPE),
        (b"hello", KIND, UploadCode.BAD_REQUEST),
        (form([], b"x" * 70_000), KIND, UploadCode.BAD_REQUEST),
        (b"--xyz\r\nX: " + b"y" * 70_000, KIND, UploadCode.BAD_REQUEST),
        (b"--xyz\r\n" + b"X: y\r\n" * 100 + b"\r\n\r\n--xyz--\r\n", KIND, UploadCode.BAD_REQUEST),
        (b"--xyz\r\n\r\n\r\n" * 1001 + b"--xyz--\r\n", KIND, UploadCode.BAD_REQUEST),
        (form([]), f"multipart/form-data; boundary={'x' * 300}", UploadCode.BAD_REQUEST),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str, code: UploadCode) -> None:
    with pytest.raises(UploadRefused) as refused:
        read(body, [], kind)
    assert refused.value.code is code
