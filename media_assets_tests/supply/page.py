"""`docs/dependencies.md`: what an install brings, under which licences, and what its wheels carry inside.

Not here: the facts (`record`, `bundled`, `media`), or the known problems (`problems`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from media_assets_tests.supply import closure, wheels
from media_assets_tests.supply.bundled import COPYLEFT, EVIDENCE, LINKED_IN, library_in
from media_assets_tests.supply.licences import NAMED
from media_assets_tests.supply.media import MEDIA
from media_assets_tests.supply.problems import PROBLEMS, Problem
from media_assets_tests.supply.record import Package
from media_assets_tests.supply.spdx import is_allowed

_HEAD = """\
# Dependencies

What `constraints.txt` pins, the licence of each package as its own metadata tell it, and what its wheel carries
beside its own code. `make check` holds the list against what is installed: a package that is not in it, another
licence, or a native library that nobody looked at fails. Allowed are licences that ask for their notice to be kept,
and MPL-2.0.

*Told by* says which part of the metadata was read: an SPDX `expression`, the older `field` or `classifier`, the
`text` of a licence file. Where several licences are told without saying how they go together, all are held.
"""
_GPL = """\
## What the GPL in pillow-heif means

The wheel of pillow-heif carries libheif and libde265 (LGPL-3.0-or-later), and **x265, an HEVC encoder under
GPL-2.0-or-later** which libheif is linked to; the project that builds the wheel says that as a binary it is under the
GPL. The pipeline only decodes HEIC; x265 makes sample files of the demo and the tests, but is there in any case.

- Who installs the project and runs it, also as a service, owes nothing for that: the GPL speaks of passing copies on.
- Who passes on a container image, an installer or a disk with this wheel in it passes on GPL software. What is linked
  with it in one program has to be passed on under terms that fit the GPL, and the sources of x265, libheif and
  libde265 have to be offered. Apache-2.0 fits GPL version 3, not version 2 alone; x265 may be taken under 3. Anything
  of your own that runs in the same process is your question to answer. HEVC is besides covered by patents in some
  countries. This is what the files say, not legal advice.
- **To turn it off**, remove the package: `pip uninstall pillow-heif`. Everything but `make demo` works; a HEIC file
  becomes a dead letter with `unsupported_format`, and `media-assets doctor` says that HEIC is not opened. Or build
  pillow-heif from its sources against a libheif without x265 (not tried by us).

FFmpeg in the wheel of OpenCV is built without its GPL parts. The project opens no video with it.

## What the GPL in av means

The wheel of av (PyAV) is BSD-3-Clause by its own metadata, and its FFmpeg calls itself LGPL; but **x264 and x265,
encoders under GPL-2.0-or-later, are in it and linked to it**, and nothing in the wheel says under which terms. Take it
for GPL software, with the consequences above. The pipeline only decodes, which needs neither; the tests encode.

- **To turn it off** where the project is passed on: build PyAV from its sources against an FFmpeg without x264 and x265
  (not tried by us). Without the package nothing of videos works.
"""

_PROBLEMS = """\
## Known problems

`make audit` holds what is pinned and installed against a stored copy of the OSV database, without any network; without
a copy it says that it looked at nothing, and how to get one. These are problems of pinned versions that were met while
building; each entry is for one version, and has to be looked at again when it is raised:
"""


def dependencies_page(packages: dict[str, Package]) -> str:
    """The page."""
    base = [p for p in packages.values() if p.purpose == closure.BASE]
    others = [p for p in packages.values() if p.purpose != closure.BASE]
    parts = [
        _HEAD,
        f"## What an install brings\n\n{len(base)} packages.\n",
        _packages(base, with_purpose=False),
        "## For extras and development\n\n"
        f"{len(others)} packages more. `dev` is `pip install -e '.[dev]'`; a `tool` only sets up the environment.\n",
        _packages(others, with_purpose=True),
        _named(),
        _libraries(packages),
        _GPL,
        "## Linked in\n\nWhat is linked into extension modules leaves no file behind. From licence files, build",
        "information and names in the binaries:\n",
        _table(("package", "what"), ((_pinned_name(key), LINKED_IN[key]) for key in sorted(LINKED_IN))),
        _components(packages),
        _PROBLEMS,
        _table(("package", "version", "what is wrong", "why it does no harm", "held by"), map(_problem, PROBLEMS)),
        "## Media and models\n",
        _table(("where", "what", "from", "licence"), MEDIA),
    ]
    return "\n".join(parts)


def _packages(packages: list[Package], *, with_purpose: bool) -> str:
    rows = []
    for p in sorted(packages, key=lambda package: package.name.lower()):
        inside = "[libraries](#native-libraries)" if p.libraries else ""
        rows.append((p.name, p.version, p.licence, p.told_by, inside, *((p.purpose,) if with_purpose else ())))
    heads = ("package", "version", "licence", "told by", "inside", *(("for",) if with_purpose else ()))
    return _table(heads, rows)


def _named() -> str:
    rows = sorted((_pinned_name(name), named.expression, named.reason) for name, named in NAMED.items())
    return "### Not told by metadata\n\n" + _table(("package", "licence", "how it was found"), rows)


def _libraries(packages: dict[str, Package]) -> str:
    rows: dict[tuple[str, ...], list[str]] = {}
    for key in sorted(packages):
        for library in packages[key].libraries:
            stem = wheels.stem(library)
            known = library_in(key, stem)
            licence = known.licence
            shown = licence if is_allowed(licence) else f"**{licence}**"
            row = (packages[key].name, shown, known.evidence or EVIDENCE[key], COPYLEFT.get(stem, ""))
            rows.setdefault(row, []).append(f"`{library}`")
    cells = [(wheel, " ".join(files), *more) for (wheel, *more), files in rows.items()]
    return (
        "## Native libraries\n\nFiles of their own in the wheels for Linux on x86-64 (others hold others). Licences "
        "that are not among the allowed ones are in bold:\n\n"
        + _table(("wheel", "files", "licence", "read in", "there because"), cells)
    )


def _components(packages: dict[str, Package]) -> str:
    listed = [(p.name, str(p.n_components)) for p in packages.values() if p.n_components]
    return (
        "## Bills of materials\n\nThese wheels list what was compiled into them, mostly Rust crates. Each licence in "
        "the lists is held against the allowed ones, except where a list names what its wheel lacks.\n\n"
        + _table(("package", "components"), sorted(listed, key=lambda row: row[0].lower()))
    )


def _problem(problem: Problem) -> tuple[str, ...]:
    path, _, test = problem.test.partition("::")
    held = f"[`{test.removeprefix('test_')}`](../{path})"
    return problem.package, problem.version, problem.what, problem.mitigation, held


def _pinned_name(key: str) -> str:
    return closure.pinned().get(key, (key, ""))[0]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(heads)} |"
        yield f"| {' | '.join(['---'] * len(heads))} |"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"
