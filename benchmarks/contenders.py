"""The jobs of the images benchmark: how each is started on a list of URLs, and where its squares lie afterwards."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.dagster_times import DagsterTimes, dagster_times
from benchmarks.environments import python_of, versions
from benchmarks.photo_corpus import PhotoCorpus
from benchmarks.quality import Box, Pixels, centre_square, crop_of_224, crop_of_256
from benchmarks.site import Site
from media_assets.serving.tensors import TensorReader
from media_assets.tables import FRAMES_IMAGES

JOBS = Path(__file__).parent / "jobs"


@dataclass(frozen=True)
class Task:
    """One run of one job: `n` pictures of a corpus behind `url`, everything it writes below `folder`."""

    corpus: PhotoCorpus
    n: int
    url: str
    folder: Path

    @property
    def urls(self) -> list[str]:
        """The address of every picture."""
        return [f"{self.url}/validation/{image_id}.jpg" for image_id in self.corpus.image_ids[: self.n]]

    def write_urls(self) -> str:
        """The path of a file with one address a line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "urls.txt"
        path.write_text("".join(f"{url}\n" for url in self.urls), "utf-8")
        return str(path)


class Contender(Protocol):
    """One way to get from URLs to stored squares."""

    @property
    def name(self) -> str: ...

    @property
    def cut(self) -> Callable[[int, int], Box]: ...

    @property
    def about(self) -> dict[str, Any]:
        """Versions and settings worth knowing."""
        ...

    def prepare(self, task: Task) -> tuple[list[str], dict[str, str]]:
        """Everything that is not measured; the command to measure and the variables it needs."""
        ...

    def n_stored(self, task: Task) -> int:
        """Pictures that came out at the end."""
        ...

    def squares(self, task: Task, image_ids: Iterable[str]) -> Mapping[str, Pixels]:
        """Some of the stored squares by image id."""
        ...


@dataclass
class MediaAssets:
    """The product, end to end: `media-assets materialize` as a whole process, of batches that are planned already."""

    batch_size: int
    name: str = "media-assets"
    cut: Callable[[int, int], Box] = crop_of_256
    times: dict[int, list[DagsterTimes]] = field(default_factory=dict)

    @property
    def about(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "keeps": "originals, metadata, verdicts, frames, tensors"}

    def prepare(self, task: Task) -> tuple[list[str], dict[str, str]]:
        site = Site(task.folder)
        template = task.url + "/{split}/{image_id}.jpg"
        site.plan_list(task.corpus.metadata, template, self.batch_size, count=task.n)
        return self._command(site), site.environment

    def n_stored(self, task: Task) -> int:
        return sum(fate == "accepted" for fate in Site(task.folder).verdicts().values())

    def squares(self, task: Task, image_ids: Iterable[str]) -> Mapping[str, Pixels]:
        lake = Site(task.folder).lake
        frame_of = dict(lake.scan(FRAMES_IMAGES).select("item_key", "frame_id").collect().iter_rows())
        reader = TensorReader(lake, layout="nhwc", dtype="uint8")
        number_of = {frame_id: i for i, frame_id in enumerate(reader.frame_ids.tolist())}
        return {key: reader[number_of[frame_of[key]]] for key in image_ids}

    def note_times(self, task: Task, started_at: float, seconds: float) -> None:
        """Remember where the run's time went, by Dagster's own records."""
        self.times.setdefault(task.n, []).append(dagster_times(Site(task.folder), started_at, seconds))

    def _command(self, site: Site) -> list[str]:
        return site.command("materialize")


@dataclass
class WithoutDagster(MediaAssets):
    """The same work without Dagster."""

    name: str = "without-dagster"

    def note_times(self, task: Task, started_at: float, seconds: float) -> None:
        """There is nothing recorded."""

    def _command(self, site: Site) -> list[str]:
        lake = str(site.root / "lake")
        return [sys.executable, "-m", "benchmarks.jobs.without_dagster", lake, str(site.root / "times.json")]


@dataclass(frozen=True)
class BareLoop:
    """A hand-written loop with the product's quality and nothing else of it."""

    n_processes: int = 2
    n_threads: int = 2
    name: str = "bare-loop"
    cut: Callable[[int, int], Box] = crop_of_256

    @property
    def about(self) -> dict[str, Any]:
        return {"processes": self.n_processes, "decoding_threads_each": self.n_threads, "keeps": "tensors"}

    def prepare(self, task: Task) -> tuple[list[str], dict[str, str]]:
        shape = [str(self.n_processes), str(self.n_threads)]
        table = str(task.folder / "table")
        return [sys.executable, "-m", "benchmarks.jobs.bare_loop", task.write_urls(), table, *shape], {}

    def n_stored(self, task: Task) -> int:
        return _n_rows((task.folder / "table").glob("*.parquet"))

    def squares(self, task: Task, image_ids: Iterable[str]) -> Mapping[str, Pixels]:
        wanted, found = set(image_ids), {}
        for group in _row_groups((task.folder / "table").glob("*.parquet"), ["id", "image"]):
            for row in group.filter(_is_in(group["id"], wanted)).to_pylist():
                found[row["id"]] = np.frombuffer(row["image"], np.uint8).reshape(224, 224, 3)
        return found


@dataclass(frozen=True)
class Img2Dataset:
    """img2dataset, two processes, squares in Parquet: as JPEG, its default, or without loss as PNG."""

    folder: Path
    encode_format: str = "jpg"
    n_processes: int = 2
    name: str = "img2dataset"
    cut: Callable[[int, int], Box] = crop_of_224

    @property
    def about(self) -> dict[str, Any]:
        return versions("img2dataset", "img2dataset") | {
            "processes": self.n_processes,
            "keeps": {"jpg": "squares as JPEG, quality 95", "png": "squares as PNG"}[self.encode_format],
        }

    def prepare(self, task: Task) -> tuple[list[str], dict[str, str]]:
        python = python_of(self.folder, "img2dataset")
        script = str(JOBS / "img2dataset_job.py")
        where = [task.write_urls(), str(task.folder / "squares")]
        return [str(python), script, *where, str(self.n_processes), self.encode_format], {
            "NO_ALBUMENTATIONS_UPDATE": "1"  # or it asks the package index whether it is current
        }

    def n_stored(self, task: Task) -> int:
        told = (task.folder / "squares").glob("*_stats.json")
        return sum(int(json.loads(path.read_bytes())["successes"]) for path in told)

    def squares(self, task: Task, image_ids: Iterable[str]) -> Mapping[str, Pixels]:
        wanted, found = set(image_ids), {}
        for group in _row_groups((task.folder / "squares").glob("*.parquet"), ["url", self.encode_format]):
            for row in group.to_pylist():
                if (image_id := Path(row["url"]).stem) in wanted:
                    found[image_id] = np.asarray(
                        Image.open(io.BytesIO(row[self.encode_format])).convert("RGB"), np.uint8
                    )
        return found


@dataclass(frozen=True)
class Daft:
    """Daft's own expressions on its native runner, squares in Parquet."""

    folder: Path
    name: str = "daft"
    cut: Callable[[int, int], Box] = centre_square

    @property
    def about(self) -> dict[str, Any]:
        return versions("daft", "daft") | {"keeps": "squares"}

    def prepare(self, task: Task) -> tuple[list[str], dict[str, str]]:
        python = python_of(self.folder, "daft")
        command = [str(python), str(JOBS / "daft_job.py"), task.write_urls(), str(task.folder / "squares")]
        return command, {"DO_NOT_TRACK": "true"}

    def n_stored(self, task: Task) -> int:
        return _n_rows((task.folder / "squares").rglob("*.parquet"))

    def squares(self, task: Task, image_ids: Iterable[str]) -> Mapping[str, Pixels]:
        wanted, found = set(image_ids), {}
        for group in _row_groups((task.folder / "squares").rglob("*.parquet"), ["url", "image"]):
            names = [Path(url).stem for url in group["url"].to_pylist()]
            places = [place for place, name in enumerate(names) if name in wanted]
            for place in places:
                found[names[place]] = _daft_pixels(group["image"][place])
        return found


def _daft_pixels(value: pa.Scalar) -> Pixels:
    told = value.as_py()
    data = told["data"] if isinstance(told, dict) else told
    return np.asarray(data, np.uint8).reshape(224, 224, 3)


def _n_rows(paths: Iterable[Path]) -> int:
    return sum(int(pq.read_metadata(path).num_rows) for path in paths)


def _row_groups(paths: Iterable[Path], columns: list[str]) -> Iterable[pa.Table]:
    for path in paths:
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns)


def _is_in(column: pa.ChunkedArray, wanted: set[str]) -> list[bool]:
    return [name in wanted for name in column.to_pylist()]
