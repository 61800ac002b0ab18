"""The licence of an installed package as an SPDX expression, from its own metadata.

`License-Expression` is taken as it is. Older metadata are read in this order: the `License` field and the classifiers
together, then the licence files. Where several licences are named without saying how they go together, all are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from media_assets_tests.supply.spdx import UnknownLicence, canonical


@dataclass(frozen=True)
class Licence:
    """An SPDX expression, and which part of the metadata told it."""

    expression: str
    told_by: str


@dataclass(frozen=True)
class Named:
    """A licence that the metadata do not tell, and how it was found out."""

    expression: str
    reason: str


NAMED = {
    "antlr4-python3-runtime": Named(
        "BSD-3-Clause",
        "The metadata say BSD and no more, and the wheel holds no licence file; LICENSE.txt in its repository is the "
        "text with three clauses.",
    ),
    "numpy": Named(
        "BSD-3-Clause",
        "The License field holds, after its own text, those of the libraries in the wheel, of the GPL with GCC's "
        "exception and the LGPL among them: see the native libraries.",
    ),
}
"""Packages whose metadata tell no licence that is allowed. One whose metadata do is refused here."""

_FIELDS = {
    "apache 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "psfl": "PSF-2.0",
}
"""What people wrote into `License` before there were expressions, in lower case."""
_VAGUE = frozenset({"bsd", "dual license"})
"""What was written there and says no more than that there is a licence: the classifiers or texts have to tell."""

_BSD = "BSD, which one?"
_CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": _BSD,
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: DFSG approved": "",  # says nothing about which
    "License :: OSI Approved": "",
}
_TEXTS = (
    (re.compile(r"Apache License,?\s+Version 2\.0"), "Apache-2.0"),
    (re.compile(r"Permission is hereby granted, free of charge"), "MIT"),
    (re.compile(r"Mozilla Public License,? [Vv](ersion|\.) ?2\.0"), "MPL-2.0"),
    (re.compile(r"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2|PSF\s+hereby\s+grants"), "PSF-2.0"),
)
_GNU_TITLE = re.compile(r"GNU (?:AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE\s+Version \d")
_REDISTRIBUTION = re.compile(r"Redistribution and use in source and binary forms")
_THIRD_CLAUSE = re.compile(r"(?:[Nn]either the names? of|may not be used to\s+endorse)")
_LICENCE_FILE = re.compile(r"(?:^|/)[^/]*(?:licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)


def licence_of(package: Distribution) -> Licence:
    """The licence that the metadata of a package tell.

    Raises:
        UnknownLicence: they tell none, or one that is not recognised.
    """
    name, metadata = package.metadata["Name"], package.metadata
    if written := metadata.get("License-Expression"):
        return Licence(canonical(written), "expression")
    field, classifiers = _of_field(metadata.get("License") or ""), _of_classifiers(metadata.get_all("Classifier") or ())
    if claims := (field | classifiers) - {_BSD, ""}:
        # a BSD licence that was named in full is the one that the classifier meant
        if _BSD in classifiers and not any(claim.startswith("BSD") for claim in claims):
            claims |= _of_texts(texts_of(package).values()) & {"BSD-2-Clause", "BSD-3-Clause"}
        return Licence(_all_of(claims), "field" if field - {_BSD} else "classifier")
    if claims := _of_texts(texts_of(package).values()):
        return Licence(_all_of(claims), "text")
    raise UnknownLicence(
        f"{name} {package.version}: expected a licence in its metadata, got {metadata.get('License')!r}, "
        f"{[c for c in metadata.get_all('Classifier') or () if c.startswith('License')]} and no text that is known. "
        "Read it, then name it in media_assets_tests/supply/licences.py"
    )


def texts_of(package: Distribution) -> dict[str, str]:
    """Licence, copying and notice files of a package by their path in it, code left out."""
    texts = {}
    for path in package.files or ():
        if _LICENCE_FILE.search(str(path)) and path.suffix not in (".py", ".pyc", ".pyi", ".xml", ".js", ".html"):
            texts[str(path)] = Path(str(path.locate())).read_text("utf-8", errors="replace")
    return texts


def _of_field(written: str) -> set[str]:
    if not (text := " ".join(written.split())):
        return set()
    if known := _FIELDS.get(text.lower()):
        return {known}
    if text.lower() in _VAGUE:
        return set()
    try:
        return {canonical(text)}
    except UnknownLicence:
        if found := _of_texts([written]):
            return found
        raise


def _of_classifiers(classifiers: Iterable[str]) -> set[str]:
    """What classifiers say; one that is not known stays as it is, and is refused as an expression."""
    return {_CLASSIFIERS.get(line, line) for line in classifiers if line.startswith("License ::")}


def _of_texts(texts: Iterable[str]) -> set[str]:
    found = set()
    for text in texts:
        found |= {licence for pattern, licence in _TEXTS if pattern.search(text)}
        if _GNU_TITLE.search(text):
            found.add("LicenseRef-GNU")
        if _REDISTRIBUTION.search(text):
            found.add("BSD-3-Clause" if _THIRD_CLAUSE.search(text) else "BSD-2-Clause")
    return found


def _all_of(claims: set[str]) -> str:
    return canonical(" AND ".join(sorted(claims)))
