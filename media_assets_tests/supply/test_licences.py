"""Every installed package has a licence that is allowed, and every library in a wheel was looked at."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets_tests.supply import closure, record, wheels
from media_assets_tests.supply.bundled import (
    COPYLEFT,
    EVIDENCE,
    LIBRARIES,
    LINKED_IN,
    MENTIONS_GNU,
    NOT_IN_THE_WHEEL,
)
from media_assets_tests.supply.licences import NAMED, licence_of, texts_of
from media_assets_tests.supply.page import dependencies_page
from media_assets_tests.supply.spdx import ALLOWED, UnknownLicence, canonical, is_allowed

_GNU = re.compile(r"\b[AL]?GPL|General Public|GENERAL PUBLIC")


def is_told(package: Distribution) -> bool:
    try:
        return is_allowed(licence_of(package).expression)
    except UnknownLicence:
        return False


def test_every_installed_package_has_a_licence_that_is_allowed() -> None:
    packages = closure.installed()
    assert len(packages) > 100
    assert sorted(name for name, package in packages.items() if name not in NAMED and not is_told(package)) == []


def test_no_exception_is_there_without_need() -> None:
    for name, named in NAMED.items():
        assert name in closure.pinned(), f"{name} is not a dependency any more"
        assert is_allowed(canonical(named.expression))
        assert len(named.reason.split()) > 5
        package = closure.installed().get(name)
        assert package is None or not is_told(package), f"the metadata of {name} tell its licence now"


def test_every_licence_that_is_recorded_is_allowed() -> None:
    packages = record.recorded()
    assert packages.keys() == closure.pinned().keys()
    assert [p for p in packages.values() if not is_allowed(p.licence)] == []
    assert {each for p in packages.values() for each in p.purpose.split(", ")} <= {*closure.declared(), record.TOOL}


def test_every_library_in_a_wheel_was_looked_at() -> None:
    packages = record.recorded()
    in_wheels = {wheels.stem(library): key for key, p in packages.items() for library in p.libraries}
    assert in_wheels.keys() == LIBRARIES.keys(), "media_assets_tests/supply/bundled.py: new ones, or ones that are gone"
    assert {key for key, package in packages.items() if package.libraries} == EVIDENCE.keys()
    assert {s for s, library in LIBRARIES.items() if not is_allowed(canonical(library.licence))} == COPYLEFT.keys()
    assert LINKED_IN.keys() <= packages.keys()


def test_every_licence_in_a_bill_of_materials_is_allowed() -> None:
    refused, n_components = set(), 0
    for name, package in closure.installed().items():
        for component, expression in wheels.components_in(package):
            n_components += 1
            if expression and not is_allowed(canonical(expression)):
                refused.add((name, component))
    assert n_components > 1000
    assert refused == NOT_IN_THE_WHEEL.keys()


def test_licence_files_that_speak_of_the_gpl_were_read() -> None:
    packages = closure.installed()
    speaking = {name for name, package in packages.items() if any(map(_GNU.search, texts_of(package).values()))}
    assert speaking - MENTIONS_GNU.keys() == set(), "read them, then say why in media_assets_tests/supply/bundled.py"
    pinned = {name for name, package in packages.items() if package.version == closure.pinned().get(name, ("", ""))[1]}
    assert (MENTIONS_GNU.keys() & pinned) - speaking == set(), "they speak of it no more"


def test_the_page_is_the_same_when_nothing_but_pip_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = record.recorded()
    monkeypatch.setattr(closure, "installed", lambda: {"pip": closure.distribution("pip")})
    assert record.renewed() == before
    assert dependencies_page(record.renewed()) == dependencies_page(before)


def test_a_package_that_nobody_ever_looked_at_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "pinned", lambda: {"new": ("new", "1")})
    with pytest.raises(UnknownLicence, match="new==1 is pinned, and neither installed here nor recorded"):
        record.renewed()


class _Made(Distribution):
    def __init__(self, metadata: str, **texts: str) -> None:
        self._texts = {"METADATA": f"Metadata-Version: 2.1\nName: made\nVersion: 1\n{metadata}\n"} | texts

    def read_text(self, filename: str) -> str | None:
        return self._texts.get(filename)

    def locate_file(self, path: object) -> Path:
        return Path("/nowhere") / str(path)


_BSD = "Redistribution and use in source and binary forms"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("License-Expression: mit or apache-2.0", "MIT OR Apache-2.0"),
        ("License-Expression: Apache-2.0\nLicense: GPL", "Apache-2.0"),
        ("License: MIT License", "MIT"),
        ("License: MIT\nClassifier: License :: OSI Approved :: BSD License", "MIT"),
        ("License: MIT\nClassifier: License :: OSI Approved :: Apache Software License", "Apache-2.0 AND MIT"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        (f"License: {_BSD} … neither the name of", "BSD-3-Clause"),
        (f"License: {_BSD}", "BSD-2-Clause"),
    ],
)
def test_metadata_are_read(metadata: str, expected: str) -> None:
    assert licence_of(_Made(metadata)).expression == expected


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "License: BSD",
        "License: UNKNOWN",
        "License: ask us\nClassifier: License :: OSI Approved :: MIT License",
        "Classifier: License :: Other/Proprietary License",
        "Classifier: License :: OSI Approved :: BSD License",
        "License-Expression: Something-1.0",
    ],
)
def test_metadata_that_tell_no_licence_are_refused(metadata: str) -> None:
    with pytest.raises(UnknownLicence):
        licence_of(_Made(metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        "License: GPL-3.0-or-later\nClassifier: License :: OSI Approved :: MIT License",
        "License-Expression: LGPL-2.1-or-later",
        "License-Expression: MIT AND GPL-2.0-only",
        "License: GNU GENERAL PUBLIC LICENSE  Version 3, 29 June 2007",
    ],
)
def test_a_copyleft_licence_is_not_allowed(metadata: str) -> None:
    assert not is_told(_Made(metadata))


_expressions = st.recursive(
    st.sampled_from(
        ("MIT", "Apache-2.0 WITH LLVM-exception", "GPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0")
    ),
    lambda inner: st.tuples(inner, st.sampled_from((" AND ", " OR ")), inner).map(lambda t: f"({t[0]}){t[1]}({t[2]})"),
    max_leaves=8,
)


@given(_expressions)
def test_an_expression_is_allowed_when_one_of_its_choices_is(expression: str) -> None:
    as_python = expression
    for licence in ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-3.0-only"):
        as_python = as_python.replace(licence, "False")
    for licence in sorted(ALLOWED, key=len, reverse=True):
        as_python = as_python.replace(licence, "True")
    wanted = eval(as_python.replace("AND", "and").replace("OR", "or"))
    assert is_allowed(expression) == is_allowed(canonical(expression)) == wanted


@pytest.mark.parametrize("expression", ["MIT AND MIT OR GPL-3.0-only", "GPL-3.0-only AND GPL-3.0-only OR MIT"])
def test_and_binds_more_than_or(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize("text", ["", "MIT AND", "(MIT", "MIT MIT", "AND", "MIT)"])
def test_broken_expressions_are_refused(text: str) -> None:
    with pytest.raises(UnknownLicence):
        is_allowed(text)


@pytest.mark.parametrize(
    ("file", "stem"),
    [
        ("libx265.so.217", "libx265"),
        ("libopenblas-r0.3.3.so", "libopenblas-r0"),
        ("libscipy_openblas64_.so", "libscipy_openblas64_"),
        ("libpng16.so.16.58.0", "libpng16"),
    ],
)
def test_a_library_keeps_its_name_over_versions(file: str, stem: str) -> None:
    assert wheels.stem(file) == stem


def test_the_hash_of_a_packed_library_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    package = _Made("")
    paths = ("numpy.libs/libgfortran-040039e1-0352e75f.so.5.0.0", "a/lib.cpython-311-x86_64-linux-gnu.so", "a/lib/x.py")
    monkeypatch.setattr(_Made, "files", [PackagePath(path) for path in paths])
    assert wheels.libraries_in(package) == ["libgfortran.so.5.0.0"]
