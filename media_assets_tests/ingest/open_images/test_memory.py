"""Memory of planning does not grow with the length of the list: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from media_assets_tests.ingest.open_images_files import CLASSES, OpenImagesFiles, Row, image_id

N_LABELS_PER_IMAGE = 20
N_IMAGES = 2000

PLAN = """
import sys
from pathlib import Path
from media_assets.ingest.open_images.reader import read_open_images
from media_assets.ingest.planning import plan_batches
from media_assets.lake.delta import Lake, Provenance
from media_assets.lake.location import LakeLocation

class Registry:
    def registered(self): return set()
    def register(self, batch_id, n_items, metadata): pass

root = Path(sys.argv[1])
items = read_open_images(root, "validation", spool=root, memory_limit="64MB")
result = plan_batches(Lake(LakeLocation(str(root / "lake"))), Registry(), source="open-images",
    name="open-images.validation", items=items, batch_size=1000, provenance=Provenance("r", "v"))
assert result.n_rejected == 0, result
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(result.n_planned, peak.split()[1])
"""


def peak_kib(root: Path, n_images: int) -> int:
    files = OpenImagesFiles(root)
    files.images(Row(image_id(n)) for n in range(n_images))
    names = sorted(CLASSES)
    files.labels(
        (image_id(n * 7919 % n_images), "verification", names[n % 3], n % 2)
        for n in range(N_LABELS_PER_IMAGE * n_images)
    )
    ran = subprocess.run([sys.executable, "-c", PLAN, str(root)], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    n_planned, peak = map(int, ran.stdout.split())
    assert n_planned == n_images
    return peak


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_peak_memory_stays_when_the_list_is_four_times_as_long(tmp_path):
    small = peak_kib(tmp_path / "small", N_IMAGES)
    large = peak_kib(tmp_path / "large", 4 * N_IMAGES)
    assert large < 1.15 * small, f"{small} KiB for {N_IMAGES} images, {large} KiB for {4 * N_IMAGES}"
