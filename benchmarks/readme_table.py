"""The README's section of measured numbers, written from the newest kept results; pure but for reading them.

Numbers are only ever copied from result files, so that a claim without a measurement cannot be made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.result_files import RESULTS, newest

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
_SECTION = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.S)
_NOTHING = "Nothing has been measured yet: `make bench` measures, and `make docs` writes the numbers here.\n"


def with_section(page: str, section: str) -> str:
    """A page with its marked section replaced.

    Raises:
        ValueError: the page has no such section, or several.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"expected {BEGIN} and {END} once each")
    return _SECTION.sub(lambda _: f"{BEGIN}\n{section}{END}", page)


def section(folder: Path = RESULTS) -> str:
    """Markdown for what was measured, as far as it was."""
    blocks = [
        block
        for name, render in (
            ("images", images_block),
            ("reader", reader_block),
            ("batch-size", batch_size_block),
            ("keyframes", keyframes_block),
            ("uploads", uploads_block),
        )
        if (result := newest(name, folder)) is not None and (block := render(result))
    ]
    return "\n".join(blocks) or _NOTHING


def images_block(result: Mapping[str, Any]) -> str:
    """From URLs to stored squares: the rows of the largest size, and the bars."""
    n = result["ratios"]["at_n"]
    rows = [row for row in result["rows"] if row["n"] == n and "images_per_s" in row]
    header = ["job", "keeps", "images/s", "CPU s per 1,000", "peak MB", "PSNR dB, mean / worst"]
    table = [
        [
            row["job"],
            result["jobs"].get(row["job"], {}).get("keeps", ""),
            f"{row['images_per_s']:g}",
            f"{row['cpu_s_per_1000']:g}",
            f"{row['peak_mb']:,}",
            f"{row['psnr_mean_db']:g} / {row['psnr_worst_db']:g}",
        ]
        for row in rows
    ]
    lines = [
        f"**From URLs to stored squares**, {n:,} photographs ({result['images']}), whole processes with all their "
        f"children, medians of {rows[0]['rounds'] if rows else 0} rounds in turn on {_machine(result)}:",
        "",
        *_table(header, table),
        "",
        *_ratio_lines(result),
        _told("images", result),
    ]
    return "\n".join(lines) + "\n"


def _ratio_lines(result: Mapping[str, Any]) -> Iterable[str]:
    ratios = result["ratios"]
    said = [
        f"{found['median']:.2f} × {job}"
        for name, found in ratios.items()
        if name.startswith("images_per_cpu_s_to_") and (job := name.removeprefix("images_per_cpu_s_to_"))
    ]
    if said:
        yield f"In images per CPU second, Media Assets is at {', '.join(said)}."
    if dagster := result.get("dagster"):
        yield f"Dagster takes {dagster['percent']['median']:.1f} % of a run."
    if missed := [name for name, is_held in result["bars"].items() if not is_held]:
        yield f"Bars that are not reached: {', '.join(name.replace('_', ' ') for name in missed)}."
    yield ""


def reader_block(result: Mapping[str, Any]) -> str:
    """Shuffled mini-batches: one row a reader and variant, with the ratio to the raw map."""
    ratios = result["ratios_to_raw"]
    table = [
        [
            row["reader"],
            row["variant"],
            f"{row['samples_per_s']:,}",
            f"{row['cpu_us_per_sample']:g}",
            f"{ratios[row['variant']]['samples_per_s']['median']:.2f}" if row["reader"] == "TensorReader" else "",
        ]
        for row in result["rows"]
    ]
    tensors = result["tensors"]
    lines = [
        f"**Shuffled mini-batches of {tensors['mini_batch']}**, {tensors['n']:,} tensors of "
        f"{' × '.join(map(str, tensors['shape']))}, warm, one process, on {_machine(result)}:",
        "",
        *_table(["reader", "gives", "samples/s", "CPU µs a sample", "of the raw memory map"], table),
        "",
        _told("reader", result),
    ]
    return "\n".join(lines) + "\n"


def keyframes_block(result: Mapping[str, Any]) -> str:
    """Key pictures in memory: one row a job, and the bars that are missed."""
    corpus = result["corpus"]
    table = [
        [
            row["job"],
            f"{row['stills_per_s']:g}",
            f"{row['cpu_ms_per_still']:g}",
            "yes" if row["times_are_right"] else "no",
            f"{row['psnr_mean_db']:g}",
        ]
        for row in result["rows"]
    ]
    missed = [name.replace("_", " ") for name, is_held in result["bars"].items() if not is_held]
    lines = [
        f"**Key pictures of videos**, {corpus['n_keys']} of {corpus['n']} x {corpus['seconds']} s ({result['videos']}) "
        f"as RGB in memory, whole processes, medians of {result['rows'][0]['rounds']} rounds in turn on "
        f"{_machine(result)}:",
        "",
        *_table(["job", "stills/s", "CPU ms a still", "times right", "PSNR dB"], table),
        "",
        *([f"Bars that are not reached: {', '.join(missed)}.", ""] if missed else []),
        _told("keyframes", result),
    ]
    return "\n".join(lines) + "\n"


def batch_size_block(result: Mapping[str, Any]) -> str:
    """How memory follows the size of a batch, in one sentence."""
    small, large = result["rows"][0], result["rows"][-1]
    return (
        f"**Memory**: one batch of {large['n']:,} images peaks at {large['peak_mb']:,} MB, one of {small['n']:,} at "
        f"{small['peak_mb']:,} MB ({result['images']}). {_told('batch-size', result)}\n"
    )


def uploads_block(result: Mapping[str, Any]) -> str:
    """How fast small uploads are acknowledged, and what that costs, in one sentence."""
    row = result["rows"][0]
    missed = [name.replace("_", " ") for name, is_held in result["bars"].items() if not is_held]
    return (
        f"**Uploads**: {row['rate_per_s']:g} a second for {row['seconds']:g} s ({result['images']}) to a durable "
        f"acknowledgement: median {row['p50_ms']:g} ms, 99th percentile {row['p99_ms']:g} ms, {row['lost']} lost, "
        f"{row['memory_mib_last']:g} MiB; on {_machine(result)}, the load included; {result['disk']}. "
        f"{f'Not reached: {chr(44).join(missed)}. ' if missed else ''}{_told('uploads', result)}\n"
    )


def _machine(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine['cores']} cores ({machine['processor']}, load {machine['load_1min']:g} at the start)"


def _told(name: str, result: Mapping[str, Any]) -> str:
    day = result["date"][:10]
    return f"[`{result['command']}`](benchmarks/results/{name}-{day}.json), {day}."


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
