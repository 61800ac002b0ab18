"""Licence expressions: their one spelling, and whether somebody who passes the software on can live with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

ALLOWED = frozenset(
    {
        *(
            "0BSD",
            "Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSD-3-Clause-Clear",
            "BSL-1.0",
        ),
        *("bzip2-1.0.6", "CC0-1.0", "CNRI-Python", "FTL", "IJG", "ISC", "libpng-2.0", "libtiff", "MIT", "MIT-0"),
        *("MIT-CMU", "MPL-2.0", "OpenSSL", "PSF-2.0", "TCL", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "WTFPL"),
        *("X11", "Zlib"),
    }
)
"""They ask for their notice to be kept; MPL-2.0 also for the sources of its own files, where these were changed."""

_WORDS = {"AND", "OR", "(", ")"}


class UnknownLicence(Exception):
    """Text that is no SPDX expression."""


def canonical(expression: str) -> str:
    """The one spelling of an expression.

    Raises:
        UnknownLicence: it is none.
    """
    try:
        return str(canonicalize_license_expression(expression))
    except InvalidLicenseExpression:
        raise UnknownLicence(f"expected an SPDX licence expression, got {expression[:100]!r}") from None


def is_allowed(expression: str) -> bool:
    """Whether one may choose so among the alternatives of a canonical expression that every part is in `ALLOWED`."""
    words = _merged(expression.replace("(", " ( ").replace(")", " ) ").split())
    verdict, rest = _alternatives(words)
    if rest:
        raise UnknownLicence(f"expected the end of {expression!r}, got {rest}")
    return verdict


def _merged(words: list[str]) -> list[str]:
    """Words, with each `X WITH Y` as one."""
    merged: list[str] = []
    waiting: Iterator[str] = iter(words)
    for word in waiting:
        if word == "WITH" and merged:
            merged[-1] += f" WITH {next(waiting, '')}"
        else:
            merged.append(word)
    return merged


def _alternatives(words: list[str]) -> tuple[bool, list[str]]:
    verdict, rest = _parts(words)
    while rest and rest[0] == "OR":
        other, rest = _parts(rest[1:])
        verdict = verdict or other
    return verdict, rest


def _parts(words: list[str]) -> tuple[bool, list[str]]:
    verdict, rest = _one(words)
    while rest and rest[0] == "AND":
        other, rest = _one(rest[1:])
        verdict = verdict and other
    return verdict, rest


def _one(words: list[str]) -> tuple[bool, list[str]]:
    if words and words[0] == "(":
        verdict, rest = _alternatives(words[1:])
        if rest[:1] != [")"]:
            raise UnknownLicence("expected a closing bracket")
        return verdict, rest[1:]
    if not words or words[0] in _WORDS:
        raise UnknownLicence(f"expected a licence, got {' '.join(words) or 'nothing'}")
    return words[0] in ALLOWED, words[1:]
