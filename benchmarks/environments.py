"""What other programs need is installed beside the measured data, each program in an environment of its own.

`environments/NAME.txt` pins every package by version. Not here: what is measured with them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).parent / "environments"


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of the environment `name` below a folder, made on first use and after a change of its pins."""
    home = folder / "environments" / name
    if not _is_current(home, name):
        print(f"setting up the environment of {name}", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(home))
        _pip(home / "bin" / "python", "install", "--quiet", "--no-deps", "-r", str(_pins(name)))
        _mark(home, name)
    return home / "bin" / "python"


def package_files(folder: Path, name: str) -> Path:
    """A folder with the files of the packages pinned under `name`, for reading data that ships with them."""
    home = folder / "environments" / name
    if not _is_current(home, name):
        print(f"fetching the packages of {name}", flush=True)
        _pip(Path(sys.executable), "install", "--quiet", "--no-deps", "--upgrade", "--target", str(home), "-r",
             str(_pins(name)))  # fmt: skip
        _mark(home, name)
    return home


def versions(name: str, *packages: str) -> dict[str, str]:
    """The pinned versions of some packages."""
    pinned = dict(line.split("==", 1) for line in _pins(name).read_text("utf-8").split())
    return {package: pinned[package] for package in packages}


def _pins(name: str) -> Path:
    return PINS / f"{name}.txt"


def _fingerprint(name: str) -> str:
    return hashlib.sha256(_pins(name).read_bytes()).hexdigest()


def _is_current(home: Path, name: str) -> bool:
    marker = home / ".pins"
    return marker.is_file() and marker.read_text("utf-8") == _fingerprint(name)


def _mark(home: Path, name: str) -> None:
    (home / ".pins").write_text(_fingerprint(name), "utf-8")


def _pip(python: Path, *arguments: str) -> None:
    _run(str(python), "-m", "pip", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> None:
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise SystemExit(f"{' '.join(command)} exited with {code}: a benchmark needs the package index once")
