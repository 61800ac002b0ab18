"""`damaged-log`: a damaged Delta table is refused with the way to restore it, and that way works (docs/runbook.md).

Every damage befalls every table. Restored from a copy in this process; rebuilt with the commands of the runbook.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable

from media_assets.errors import TableDamaged
from media_assets.lake.delta import Lake
from media_assets.lake.location import LakeLocation
from media_assets.serving.statistics import measure_statistics
from media_assets.tables import ALL_TABLES, MANIFEST, TENSORS_STATISTICS, TableContract
from media_assets_tests.chaos.commands import BATCH_SIZE, MAX_SECONDS, Home
from media_assets_tests.chaos.ground import Batches, Ground, Tables, judge, make_pictures
from media_assets_tests.chaos.result import Options, Result, log_end, say
from media_assets_tests.equality import rows_of, tables_of

Damage = Callable[[Path, random.Random], None]


def _commits(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def _data_file(table: Path, draw: random.Random) -> Path:
    """One of the files that the newest version names."""
    return Path(draw.choice(DeltaTable(str(table)).file_uris()).removeprefix("file://"))


def cut_a_commit(table: Path, draw: random.Random) -> None:
    """A commit file that ends in the middle of a line."""
    path = draw.choice(_commits(table))
    path.write_bytes(path.read_bytes()[:-40])


def empty_the_last_commit(table: Path, draw: random.Random) -> None:
    """What a power cut leaves of a file whose name was durable before its bytes."""
    _commits(table)[-1].write_bytes(b"")


def fill_a_commit_with_garbage(table: Path, draw: random.Random) -> None:
    """Bytes that are no JSON."""
    draw.choice(_commits(table)).write_bytes(draw.randbytes(200))


def lose_a_commit(table: Path, draw: random.Random) -> None:
    """A gap in the middle, or the beginning gone."""
    draw.choice(_commits(table)[:-1]).unlink()


def garble_the_checkpoint(table: Path, draw: random.Random) -> None:
    """A checkpoint that is no Parquet file."""
    DeltaTable(str(table)).create_checkpoint()
    next((table / "_delta_log").glob("*.checkpoint.parquet")).write_bytes(draw.randbytes(100))


def lose_the_log(table: Path, draw: random.Random) -> None:
    """Only data files are left."""
    shutil.rmtree(table / "_delta_log")


def lose_a_data_file(table: Path, draw: random.Random) -> None:
    """A Parquet file that the log names is gone."""
    _data_file(table, draw).unlink()


def cut_a_data_file(table: Path, draw: random.Random) -> None:
    """A Parquet file that the log names is shorter than it says."""
    path = _data_file(table, draw)
    path.write_bytes(path.read_bytes()[:-100])


DAMAGES: tuple[Damage, ...] = (
    cut_a_commit,
    empty_the_last_commit,
    fill_a_commit_with_garbage,
    lose_a_commit,
    garble_the_checkpoint,
    lose_the_log,
    lose_a_data_file,
    cut_a_data_file,
)


def run(folder: Path, options: Options) -> Result:
    """Small: every damage to two tables, restored from a copy. Full: to all of them, and the runbook's commands."""
    result = Result("damaged-log", options.seed)
    if options.small:
        _refusals(_small_lake(folder), folder, ALL_TABLES[1:3], options.seed, result)
        return result
    site = Runbook.begin(folder)
    _refusals(site.home.lake, folder, ALL_TABLES, options.seed, result)
    site.follow(result)
    return result


def _small_lake(folder: Path) -> Path:
    """Two batches, read without Dagster."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    keys = {}
    for number in range(2):
        files = make_pictures(6, number * 1000)
        keys[f"test.{number + 1:04d}"] = tuple(files)
        for name, body in files.items():
            (photos / name).write_bytes(body)
    ground = Ground(folder / "lakes", Batches(photos.as_uri(), keys, (photos,)))
    _ = ground.clean
    return ground.folder / "clean"


def _refusals(whole: Path, folder: Path, tables: tuple[TableContract, ...], seed: int, result: Result) -> None:
    lake = Lake(LakeLocation(str(whole)))
    clean = {contract.name: rows_of(lake, contract) for contract in tables}
    for damage in DAMAGES:
        for contract in tables:
            name = f"{damage.__name__.replace('_', ' ')} of {contract.path}"
            draw = random.Random(f"{seed}/{name}")
            root = folder / "damaged"
            shutil.copytree(whole, root)
            damage(root.joinpath(*contract.key), draw)
            result.faults += 1
            result.count("damages", damage.__name__.replace("_", " "))
            _expect_refusal(root, contract, name, result)
            for path in whole.joinpath(*contract.key).rglob("*"):  # the copy
                if path.is_file():
                    back = root / path.relative_to(whole)
                    back.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, back)
            if damage is garble_the_checkpoint:  # made after the copy: the log is whole without it
                for path in (root.joinpath(*contract.key) / "_delta_log").glob("*checkpoint*"):
                    path.unlink()
            try:
                is_equal = rows_of(Lake(LakeLocation(str(root))), contract) == clean[contract.name]
            except TableDamaged as error:
                is_equal, name = False, f"{name}: {error}"
            result.promise("a copy restores the table", holds=is_equal, case=name)
            shutil.rmtree(root)
        say(f"damaged-log: {damage.__name__.replace('_', ' ')} of {len(tables)} tables")


def _expect_refusal(root: Path, contract: TableContract, name: str, result: Result) -> None:
    try:
        Lake(LakeLocation(str(root))).scan(contract).collect()
    except TableDamaged as error:
        told = str(error)
        is_clear = told.startswith(contract.path) and "docs/runbook.md" in told
        result.promise("the error names the table and the way to restore it", holds=is_clear, case=f"{name}: {told}")
        result.promise("a damaged table is refused", holds=True)
    except BaseException as error:  # a panic of a library is no Exception
        result.promise("a damaged table is refused", holds=False, case=f"{name}: {type(error).__name__}: {error}")
    else:
        result.promise("a damaged table is refused", holds=False, case=f"{name}: nothing was raised")


@dataclass(frozen=True)
class Runbook:
    """A home with a done lake, and the commands of docs/runbook.md."""

    home: Home
    plan: tuple[str, ...]
    clean: Tables
    backup: Path
    old_log: Path  # of raw/media, when only the first batch was there

    @classmethod
    def begin(cls, folder: Path) -> Runbook:
        """Plan and materialize two batches, and keep a copy."""
        photos = folder / "photos"
        photos.mkdir(parents=True)
        for number in range(2):
            for name, body in make_pictures(BATCH_SIZE, number * 1000).items():
                (photos / name).write_bytes(body)
        home = Home(folder / "home")
        plan = ("plan", "folder", str(photos), "--batch-size", str(BATCH_SIZE))
        home.run(*plan)
        lake = Lake(LakeLocation(str(home.lake)))
        home.run("materialize", "--batch", lake.partition_values(MANIFEST)[0])
        shutil.copytree(home.lake / "raw" / "media" / "_delta_log", folder / "old_log")
        home.run("materialize")
        shutil.copytree(home.lake, folder / "backup")
        return cls(home, plan, tables_of(lake), folder / "backup", folder / "old_log")

    def follow(self, result: Result) -> None:
        """Each way of the runbook, at the command line."""
        materialize = ("materialize", "--again")
        self._told(result)
        self._older_copy(result)
        for path in ("raw/media", "frames/images", "tensors/images"):
            self._rebuilt(path, (*materialize, "--select", path), result)
            self._one_file(path, result)
        self._rebuilt("ingest/item_status", ("materialize",), result)
        self._rebuilt("ingest/manifest", self.plan, result)
        self._rebuilt("tensors/histograms", ("materialize",), result)
        self._rebuilt("tensors/statistics", (*materialize, "--batch", self._a_batch()), result)

    def _a_batch(self) -> str:
        return str(self.clean["ingest.manifest"][0][0])

    def _told(self, result: Result) -> None:
        """The command line says it in one message, without a traceback."""
        lose_the_log(self.home.lake / "raw" / "media", random.Random(0))
        for command in (("query", "select * from raw.media"), ("materialize", "--again")):
            process = subprocess.run(
                [sys.executable, "-m", "media_assets.cli", *command, "--json"],
                env=self.home.environment(),
                capture_output=True,
                text=True,
                timeout=MAX_SECONDS,
                check=False,
            )
            said = process.stdout + process.stderr
            holds = process.returncode != 0 and "raw/media: expected a whole Delta table" in said
            result.promise("the command line says which table is damaged", holds=holds, case=said[-600:])
            holds = "Traceback" not in said
            result.promise("the command line needs no traceback for it", holds=holds, case=said[-600:])
        self._restore()

    def _older_copy(self, result: Result) -> None:
        """A copy of the log that knows less than the table did."""
        log = self.home.lake / "raw" / "media" / "_delta_log"
        shutil.rmtree(log)
        shutil.copytree(self.old_log, log)
        self._expect("an older copy of a log put back", [("materialize", "--again")], result)

    def _rebuilt(self, path: str, command: tuple[str, ...], result: Result) -> None:
        """Move the folder away, run the command."""
        (self.home.lake / path).rename(self.home.root / "moved-away")
        self._expect(f"{path} rebuilt", [command], result)
        shutil.rmtree(self.home.root / "moved-away")

    def _one_file(self, path: str, result: Result) -> None:
        """Forget one batch's rows, make them again."""
        table = self.home.lake / path
        lost = _data_file(table, random.Random(path))
        batch_id = lost.parent.name.removeprefix("batch_id=")
        lost.unlink()
        DeltaTable(str(table)).delete(f"batch_id = '{batch_id}'")
        self._expect(f"a file of {path} made again", [("materialize", "--again", "--batch", batch_id)], result)

    def _expect(self, what: str, commands: list[tuple[str, ...]], result: Result) -> None:
        result.faults += 1
        failure = ""
        try:
            for command in commands:
                self.home.run(*command)
            verdict = judge(self.home.lake, self.clean)
            lake = Lake(LakeLocation(str(self.home.lake)))
            if not verdict.is_clean:
                failure = str(verdict)
            elif not lake.scan(TENSORS_STATISTICS).collect().equals(measure_statistics(lake)):
                failure = "the statistics are not those of every tensor"
        except Exception as error:
            failure = f"{error!r:.800}; {log_end(self.home.log)}"
        result.promise("what the runbook says restores the table", holds=not failure, case=f"{what}: {failure}")
        say(f"damaged-log: {what}")
        if failure:
            self._restore()

    def _restore(self) -> None:
        shutil.rmtree(self.home.lake)
        shutil.copytree(self.backup, self.home.lake)
