"""What wheels carry inside, as it was read and measured: the licence of each native library, and what was linked in.

Not here: finding the libraries (`wheels`); their names have to be the keys here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Library:
    """A native library that lies in a wheel as a file of its own."""

    licence: str
    evidence: str = ""  # where it is another than that of its wheel


EVIDENCE = {
    "av": "its project: the wheel carries no licence of it; which ones are there, `avcodec_configuration()` says",
    "ijson": "its licence expression",
    "numpy": "its licence file",
    "onnxruntime": "its LICENSE",
    "opencv-python-headless": "its LICENSE-3RD-PARTY.txt",
    "pillow": "its SBOM and licence file",
    "pillow-heif": "its LICENSES_bundled.txt",
    "pyarrow": "its own libraries",
}
"""Where the licences of the libraries in a wheel were read."""

_ASKED = (
    "the library itself: `avcodec_license()` and its like say *LGPL version 2.1 or later*; built without `--enable-gpl`"
)
_ASKED_PYAV = (
    "the library itself: `avcodec_license()` and its like say *LGPL version 3 or later*, although x264 and x265 are "
    "linked to it and `--enable-gpl` is not among its options"
)
LIBRARIES = {
    "libSvtAv1Enc": Library("BSD-3-Clause-Clear"),
    "libXau": Library("X11"),
    "libaom": Library("BSD-2-Clause"),
    "libarrow": Library("Apache-2.0"),
    "libarrow_acero": Library("Apache-2.0"),
    "libarrow_compute": Library("Apache-2.0"),
    "libarrow_dataset": Library("Apache-2.0"),
    "libarrow_flight": Library("Apache-2.0"),
    "libarrow_python": Library("Apache-2.0"),
    "libarrow_python_flight": Library("Apache-2.0"),
    "libarrow_python_parquet_encryption": Library("Apache-2.0"),
    "libarrow_s3": Library("Apache-2.0"),
    "libarrow_substrait": Library("Apache-2.0"),
    "libasound": Library("LGPL-2.1-or-later"),
    "libavcodec": Library("LGPL-2.1-or-later", _ASKED),
    "libavdevice": Library("LGPL-3.0-or-later", _ASKED_PYAV),
    "libavfilter": Library("LGPL-3.0-or-later", _ASKED_PYAV),
    "libavformat": Library("LGPL-2.1-or-later", _ASKED),
    "libavif": Library("BSD-2-Clause"),
    "libavutil": Library("LGPL-2.1-or-later", _ASKED),
    "libbrotlicommon": Library("MIT"),
    "libbrotlidec": Library("MIT"),
    "libcrypto": Library("OpenSSL", "its LICENSE-3RD-PARTY.txt; 1.1 gets no more corrections"),
    "libdav1d": Library("BSD-2-Clause"),
    "libde265": Library("LGPL-3.0-or-later"),
    "libdrm": Library("MIT"),
    "libfreetype": Library("FTL"),
    "libgfortran": Library("GPL-3.0-or-later WITH GCC-exception-3.1", "the licence file of NumPy"),
    "libgmp": Library("LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libgnutls": Library("LGPL-2.1-or-later"),
    "libharfbuzz": Library("MIT"),
    "libheif": Library("LGPL-3.0-or-later"),
    "libhogweed": Library("LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libjpeg": Library("IJG AND BSD-3-Clause"),
    "liblcms2": Library("MIT"),
    "liblzma": Library("0BSD"),
    "libmp3lame": Library("LGPL-2.0-or-later"),
    "libnettle": Library("LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libonnxruntime": Library("MIT"),
    "libonnxruntime_providers_shared": Library("MIT"),
    "libopenblas-r0": Library("BSD-3-Clause", "the licence file of NumPy"),
    "libopencore-amrnb": Library("Apache-2.0"),
    "libopencore-amrwb": Library("Apache-2.0"),
    "libopenjp2": Library("BSD-2-Clause"),
    "libopus": Library("BSD-3-Clause"),
    "libparquet": Library("Apache-2.0"),
    "libpng16": Library("libpng-2.0"),
    "libquadmath": Library("LGPL-2.1-or-later", "the licence file of NumPy"),
    "libscipy_openblas64_": Library("BSD-3-Clause"),
    "libsharpyuv": Library("BSD-3-Clause"),
    "libssl": Library("OpenSSL", "its LICENSE-3RD-PARTY.txt; 1.1 gets no more corrections"),
    "libswresample": Library("LGPL-2.1-or-later", _ASKED),
    "libswscale": Library("LGPL-2.1-or-later", _ASKED),
    "libtiff": Library("libtiff"),
    "libunistring": Library("LGPL-3.0-or-later OR GPL-2.0-or-later"),
    "libvpl": Library("MIT"),
    "libvpx": Library("BSD-3-Clause"),
    "libwebp": Library("BSD-3-Clause"),
    "libwebpdemux": Library("BSD-3-Clause"),
    "libwebpmux": Library("BSD-3-Clause"),
    "libx264": Library("GPL-2.0-or-later"),
    "libx265": Library(
        "GPL-2.0-or-later", "its LICENSES_bundled.txt; the head of its sources says *version 2 or any later*"
    ),
    "libxcb": Library("X11"),
    "libxcb-shape": Library("X11"),
    "libxcb-shm": Library("X11"),
    "libxcb-xfixes": Library("X11"),
    "libyajl": Library("ISC"),
    "libzstd": Library("BSD-3-Clause"),
}
"""By what the file is called without its version."""

_OTHERWISE = {
    ("av", name): Library("LGPL-3.0-or-later", _ASKED_PYAV)
    for name in ("libavcodec", "libavformat", "libavutil", "libswresample", "libswscale")
} | {("av", "libx265"): Library("GPL-2.0-or-later")}
"""(package, library): another build under another licence, or read elsewhere."""


def library_in(package: str, stem: str) -> Library:
    """What is known of a library in the wheel of a package."""
    return _OTHERWISE.get((package, stem), LIBRARIES[stem])


COPYLEFT = {
    "libavcodec": "a library of its own beside the code that calls it, so it can be exchanged, as the LGPL asks",
    "libgfortran": "the exception lets programs of any licence be passed on with it",
    "libquadmath": "a library of its own, so it can be exchanged",
    "libde265": "a library of its own, so it can be exchanged",
    "libheif": "a library of its own, so it can be exchanged",
    "libx264": "[see below](#what-the-gpl-in-av-means)",
    "libx265": "see below: [in pillow-heif](#what-the-gpl-in-pillow-heif-means), [in av](#what-the-gpl-in-av-means)",
    **dict.fromkeys(
        ("libavdevice", "libavfilter", "libavformat", "libavutil", "libswresample", "libswscale"), "as libavcodec"
    ),
    **dict.fromkeys(
        ("libasound", "libgmp", "libgnutls", "libhogweed", "libmp3lame", "libnettle", "libunistring"),
        "a library of its own, so it can be exchanged",
    ),
}
"""Libraries whose licence is not in the list of those allowed: why each is there all the same."""

LINKED_IN = {
    "duckdb": "ICU, Mbed TLS, RE2, zstd and others: found by name in the binary, the wheel does not carry their texts",
    "grpcio": "Abseil, BoringSSL, c-ares and RE2: found by name in the binary; its licence file holds Apache-2.0, "
    "BSD-3-Clause and MPL-2.0",
    "lxml": "libxml2 and libxslt (MIT), zlib, and GNU libiconv (**LGPL-2.1**), said in its LICENSES.txt; comes with "
    "label-studio-sdk",
    "matplotlib": "FreeType (FTL), HarfBuzz, libraqm and Qhull, and fonts such as DejaVu (Bitstream Vera) and STIX; "
    "its licence file has their texts",
    "onnxruntime": "Abseil, Eigen (MPL-2.0), FlatBuffers, oneDNN, ONNX, protobuf, RE2 and others: its "
    "ThirdPartyNotices.txt has their texts",
    "opencv-python-headless": "Intel IPP 2022.1 (**binary only**: Intel Simplified Software License, may be passed on "
    "unchanged, not taken apart), libjpeg-turbo, libwebp, libtiff, OpenJPEG, OpenEXR, protobuf; "
    "`cv2.getBuildInformation()`",
    "playwright": "Node.js with its libraries, a program of its own (MIT and others, in driver/LICENSE); tests only",
    "pyarrow": "AWS SDK, gRPC, Thrift, ORC, OpenSSL, zstd, lz4, Brotli, Snappy, RE2 and others: found by name in the "
    "libraries; its licence file has their texts, all permissive",
    "pyyaml": "libyaml (MIT)",
    "simplejpeg": "libjpeg-turbo (IJG and BSD-3-Clause)",
    "uvloop": "libuv (MIT)",
}
"""Linked into extension modules, so that no file tells: from licence files, build information and names in binaries."""

NOT_IN_THE_WHEEL = {
    ("pillow", "FriBiDi"): "only loaded where the system has it",
    ("pillow", "libimagequant"): "`PIL.features.check('libimagequant')` is false: the wheel is built without it",
}
"""(package, component): what a bill of materials lists under a licence that is not allowed, and the wheel lacks."""

_PSF = "the Python licence, which explains what it is compatible with"
_MPL = "MPL-2.0, which names licences that it may be combined with"
MENTIONS_GNU = {
    "aiohappyeyeballs": _PSF,
    "black": _PSF,
    "grpcio": _MPL,
    "grpcio-health-checking": _MPL,
    "hypothesis": _MPL,
    "librt": _PSF,
    "lxml": "GNU libiconv is linked in, see above; a test program under the GPL is not in the wheel",
    "matplotlib": "FreeType, of which the FTL is chosen",
    "ml-dtypes": _MPL,
    "mypy": _PSF,
    "numpy": "the run-time libraries of GCC, see above",
    "onnxruntime": f"{_MPL} (Eigen is under it); no library under the LGPL is among its notices",
    "opencv-python-headless": "FFmpeg, see above; Qt (LGPL-3.0) is in other wheels of OpenCV, not in the headless one",
    "pandas": _PSF,
    "pathspec": _MPL,
    "pillow": "FreeType, of which the FTL is chosen; build scripts of liblzma that are not in the wheel",
    "pillow-heif": "libheif, libde265 and x265, see above",
    "pip": _PSF,
    "playwright": "scripts that build ICU for Node.js, with an exception for that; they are not in the program",
    "pyarrow": "the exception of LLVM, which is about combining it with the GPL",
    "typing-extensions": _PSF,
}
"""Why a package's licence files speak of the GPL or LGPL. Another package whose files do has to be read."""
