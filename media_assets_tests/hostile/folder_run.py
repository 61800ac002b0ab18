"""The hostile corpus through `plan folder` and `materialize`, and what is wrong with the outcome.

Real path, real sandbox: the commands run in processes of their own, and decode in a pool of confined workers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media_assets.tables import FRAMES_IMAGES, TENSORS_IMAGES
from media_assets_tests.equality import missing_blobs
from media_assets_tests.hostile.corpus import write
from media_assets_tests.hostile.markers import MARKERS
from media_assets_tests.hostile.site import HostileSite
from media_assets_tests.hostile.specimens import Specimen
from media_assets_tests.hostile.traces import traces_of

MAX_PEAK_BYTES = 1000 * 2**20
_ALIVE = frozenset({"accepted", "converted"})


@dataclass
class FolderRun:
    """What became of a folder of specimens."""

    site: HostileSite
    specimens: dict[str, Specimen]
    fates: dict[str, str]
    traces: list[str]

    @property
    def wrong(self) -> dict[str, str]:
        """Files with a fate that they may not have: name → what came, and what was expected."""
        return {
            name: f"{self.fates.get(name, 'no status')}, expected {' or '.join(sorted(specimen.fates))}"
            for name, specimen in self.specimens.items()
            if self.fates.get(name, "") not in specimen.fates
        }

    @property
    def silent(self) -> list[str]:
        """Files without a status, and statuses that the tables behind do not bear out."""
        going_on = {name for name, fate in self.fates.items() if fate == "accepted"}
        silent = sorted(set(self.specimens) - set(self.fates))
        silent += [f"{name}: a status of no file" for name in sorted(set(self.fates) - set(self.specimens))]
        for contract in (FRAMES_IMAGES, TENSORS_IMAGES):
            later = self.site.fates(contract.name)
            silent += [f"{name}: no status at {contract.name}" for name in sorted(going_on - set(later))]
            silent += [
                f"{name}: {later[name]} at {contract.name}"
                for name in sorted(going_on & set(later))
                if later[name] not in _ALIVE
            ]
        frames = self.site.lake.scan(FRAMES_IMAGES).select("item_key", "frame_id").collect()
        tensors = self.site.lake.scan(TENSORS_IMAGES).select("frame_id").collect()
        silent += [f"{name}: no frame" for name in sorted(going_on ^ set(frames["item_key"]))]
        silent += [f"{name}: no tensor" for name in sorted(set(frames["frame_id"]) ^ set(tensors["frame_id"]))]
        return silent + sorted(missing_blobs(self.site.lake, self.site.blobs))

    @property
    def held(self) -> dict[str, bool]:
        """What is promised of every file."""
        return {
            "every file met its fate": not self.wrong,
            "no file was lost": not self.silent,
            "no marker was published": not self.traces,
            "memory of all processes stayed below 1000 MiB": self.site.peak_bytes < MAX_PEAK_BYTES,
        }

    def summary(self) -> dict[str, Any]:
        """The figures of the run."""
        return {
            "files": len(self.specimens),
            "bytes": sum(len(specimen.data) for specimen in self.specimens.values()),
            "wrong": len(self.wrong),
            "silent": len(self.silent),
            "traces": len(self.traces),
            "files_with_markers": sum(bool(specimen.markers) for specimen in self.specimens.values()),
            "fates": dict(sorted(Counter(self.fates.values()).items())),
            "seconds": self.site.seconds,
            "peak_mb": round(self.site.peak_bytes / 2**20),
            "details": {"wrong": self.wrong, "silent": self.silent, "traces": self.traces},
        }


def run_folder(specimens: dict[str, Specimen], root: Path, max_seconds: float) -> FolderRun:
    """Write, plan and materialize them as one batch below a folder."""
    folder = root / "hostile-files"
    write(specimens, folder)
    site = HostileSite(root / "site")
    site.run("plan", "folder", str(folder), "--batch-size", "100000", max_seconds=max_seconds)
    site.run("materialize", max_seconds=max_seconds)
    raw_ids = {hashlib.sha256(specimen.data).hexdigest() for specimen in specimens.values()}
    return FolderRun(site, specimens, site.fates(), traces_of(MARKERS, site, raw_ids))
