"""Write what is generated, or check that it is current: pages of `docs/`, the README's numbers, what is installed.

    python -m media_assets_tests.docs.generate [--check]

Errors come from `media_assets.errors` and `error_guide`, tables from the contracts in `media_assets.tables`,
settings from `media_assets.defs.settings`, mutations from `media_assets_tests/mutants/list`, numbers from the newest
files in `benchmarks/results`, dependencies from `constraints.txt` and what is installed (`media_assets_tests/supply`).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

import media_assets.tables
from benchmarks import readme_table
from media_assets.defs.resources import Settings
from media_assets.defs.settings import SETTINGS, Setting
from media_assets.errors import ErrorCode
from media_assets.tables import ALL_TABLES, TableContract
from media_assets_tests.docs.error_guide import LABEL_STUDIO_CODES, MODEL_CODES, SECTIONS, STORE_CODES
from media_assets_tests.mutants.mutation import Mutation, mutations
from media_assets_tests.supply import record
from media_assets_tests.supply.page import dependencies_page

ROOT = Path(__file__).resolve().parents[2]
_GENERATED = "<!-- Generated: change the source and run `make docs`. -->\n"
_MOST_VALUES_SHOWN = 12


def contracts() -> list[TableContract]:
    """Every contract in `media_assets.tables.*`: as in `ALL_TABLES`, then those it leaves out, by name."""
    found: dict[str, TableContract] = {table.name: table for table in ALL_TABLES}
    extra: dict[str, TableContract] = {}
    for module in pkgutil.walk_packages(media_assets.tables.__path__, "media_assets.tables."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, TableContract) and value.name not in found:
                extra[value.name] = value
    return [*found.values(), *(extra[name] for name in sorted(extra))]


def errors_page() -> str:
    """`docs/errors.md`: every code with its meaning, whether a retry can help, and what to do."""
    lines = [
        _GENERATED,
        "# Error codes\n",
        "An item that fails gets one of these codes in `ingest/item_status`, and the batch goes on. A code",
        "never changes its meaning. *Retryable* means that the same attempt may succeed later without",
        "anybody changing anything; when such a cause hits most of a batch, it is an outage: the run fails",
        "and may be tried again.\n",
        "*Correct the list* means: correct it, plan it again with `--update`, then replay. A plan tells how many",
        "planned items the list describes otherwise now, and without `--update` leaves them as they were planned.",
        "With it, items that failed or never ran get the list's new rows; those whose bytes are kept stay.\n",
        "```console",
        "$ media-assets plan open-images --split validation --update",
        "$ media-assets dead-letters replay --code not_found",
        "```\n",
    ]
    for section, rows in SECTIONS.items():
        lines += [
            f"## {section}\n",
            "| code | meaning | retryable | what to do |",
            _rule_off(4),
        ]
        lines += [_error_row(code, rows[code].meaning, rows[code].what_to_do) for code in rows]
        lines.append("")
    lines += [
        "## A model that cannot be used\n",
        "A batch whose models cannot be used as they are described publishes nothing at `predictions/frames`, and no",
        "frame is blamed. Its run fails with one of these at the beginning of the message, and is not tried again by",
        "itself. `media-assets doctor` tells most of them beforehand.\n",
        "| code | meaning | what to do |",
        _rule_off(3),
        *(f"| `{code.value}` | {advice.meaning} | {advice.what_to_do} |" for code, advice in MODEL_CODES.items()),
        "",
        "## The object store\n",
        "A command over a lake in a bucket that cannot be used ends with one of these, in its message and, with",
        "`--json`, as `error.code`; a batch that meets one in the middle fails (`StoreFailed`), or its item is a dead",
        "letter with `storage_failed`. The store's own answer is not repeated: it may hold keys.\n",
        "| code | meaning | what to do |",
        _rule_off(3),
        *(f"| `{code.value}` | {advice.meaning} | {advice.what_to_do} |" for code, advice in STORE_CODES.items()),
        "",
        "## Label Studio\n",
        "`media-assets labels` ends with one of these, in its message and, with `--json`, as `error.code`; those about",
        "single tasks stand beside the task. What was done before stays done.\n",
        "| code | meaning | what to do |",
        _rule_off(3),
        *(
            f"| `{code.value}` | {advice.meaning} | {advice.what_to_do} |"
            for code, advice in LABEL_STUDIO_CODES.items()
        ),
        "",
    ]
    return "\n".join(lines)


def configuration_page() -> str:
    """`docs/configuration.md`: every setting with its variable, its default and its bounds."""
    defaults = Settings()
    lines = [
        _GENERATED,
        "# Configuration\n",
        "Everything is set in environment variables, for the command line and for `make dev` alike. An empty",
        "variable is one that is not set. What is wrong is told before anything begins, and by",
        "`media-assets doctor`.\n",
    ]
    for section, settings in SETTINGS.items():
        lines += [f"## {section}\n", "| variable | meaning | default | takes |", _rule_off(4)]
        lines += [_setting_row(setting, getattr(defaults, setting.field)) for setting in settings]
        lines.append("")
    lines += [
        "## Dagster\n",
        "`DAGSTER_HOME` is where Dagster keeps runs and registered batches; by default `dagster_home` beside",
        "the lake. One home belongs to the lake that used it first, which `media-assets-lake.txt` in it names;",
        "with another lake a command is refused. `dagster.yaml` in it is yours to change.\n",
        "A run keeps the settings of the process that it runs in: start `make dev` again after a change.\n",
    ]
    return "\n".join(lines)


def _setting_row(setting: Setting, default: object) -> str:
    takes = "text" if setting.at_least is None else f"{setting.at_least} or more"
    takes = takes if setting.at_most is None else f"{setting.at_least} to {setting.at_most}"
    return f"| `{setting.variable}` | {setting.meaning} | {setting.unset or f'`{default}`'} | {takes} |"


def _error_row(code: ErrorCode, meaning: str, what_to_do: str) -> str:
    return f"| `{code.value}` | {meaning} | {'yes' if code.is_retryable else 'no'} | {what_to_do} |"


def tables_page() -> str:
    """`docs/tables.md`: every table with its key, partitions and columns."""
    tables = contracts()
    lines = [
        _GENERATED,
        "# Tables\n",
        "Asset key = Delta path = contract name. Each contract is held before a batch is committed: rows",
        "that break it are not published.\n",
        "| table | what it holds | key | partitioned by |",
        _rule_off(4),
    ]
    lines += [
        f"| [`{t.path}`](#{_anchor(t.path)}) | {_cell(t.description)} "
        f"| {_names(t.primary_key)} | {_names(t.partition_by)} |"
        for t in tables
    ]
    lines.append("")
    for table in tables:
        lines += _table_section(table)
    return "\n".join(lines)


def _table_section(table: TableContract) -> Iterator[str]:
    schema = table.model.to_schema()
    yield f"## {table.path}\n"
    yield f"{table.description}\n"
    yield f"Key: {_names(table.primary_key)}. Partitioned by: {_names(table.partition_by)}.\n"
    yield "| column | type | null | description | allowed |"
    yield _rule_off(5)
    for name, dtype in table.schema.items():
        null = "yes" if name in table.nullable else ""
        allowed = "; ".join(_rule(check) for check in schema.columns[name].checks)
        description = _cell(table.column_descriptions[name])
        yield f"| `{name}` | {type_name(dtype)} | {null} | {description} | {_cell(allowed)} |"
    yield ""
    if schema.checks:
        yield "Also held: " + "; ".join(str(check.name).replace("_", " ") for check in schema.checks) + ".\n"


def type_name(dtype: Any) -> str:
    """A polars type in words, such as `list of int64`."""
    if isinstance(dtype, pl.List):
        return f"list of {type_name(dtype.inner)}"
    if isinstance(dtype, pl.Struct):
        return "struct of " + ", ".join(f"`{f.name}` {type_name(f.dtype)}" for f in dtype.fields)
    if isinstance(dtype, pl.Datetime):
        return f"timestamp ({dtype.time_unit}, {dtype.time_zone or 'no zone'})"
    return str(dtype).lower()


def _rule(check: Any) -> str:
    given = check.statistics or {}
    if "allowed_values" in given:
        values = list(given["allowed_values"])
        shown = ", ".join(f"`{value}`" for value in values)
        return shown if len(values) <= _MOST_VALUES_SHOWN else f"one of {len(values)} values"
    if "pattern" in given:
        pattern = given["pattern"]
        return f"matches `{getattr(pattern, 'pattern', pattern)}`"
    low, high = given.get("min_value"), given.get("max_value")
    over = {"greater_than": ">", "less_than": "<"}
    if check.name == "str_length":
        return f"{low or 0} to {high} characters" if high is not None else f"{low} or more characters"
    if low is not None:
        return f"{over.get(str(check.name), '≥')} {low}"
    if high is not None:
        return f"{over.get(str(check.name), '≤')} {high}"
    return str(check.name).replace("_", " ")


def _rule_off(n_columns: int) -> str:
    return "| " + " | ".join(["---"] * n_columns) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{column}`" for column in columns) or "none"


def _anchor(heading: str) -> str:
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def mutants_page() -> str:
    """`docs/mutants.md`: every mutation with the test that it turns red, promise by promise."""
    promised = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## Promises")[2]
    by_promise: dict[str, list[Mutation]] = {}
    for mutation in sorted(mutations(), key=lambda mutation: promised.find(f"**{mutation.promise}")):
        by_promise.setdefault(mutation.promise, []).append(mutation)
    lines = [
        _GENERATED,
        "# Mutations\n",
        "Each row breaks a [promise](../ARCHITECTURE.md#promises) in one place of the source; the named test has to go",
        "red. `make mutants` tries all of them; its results are in [benchmarks/results](../benchmarks/results).",
    ]
    for promise, of_promise in by_promise.items():
        lines += [f"\n## {promise}\n", "| what is broken | in | turns red |", _rule_off(3)]
        lines += [_mutation_row(mutation) for mutation in of_promise]
    return "\n".join(lines) + "\n"


def _mutation_row(mutation: Mutation) -> str:
    path, _, test = mutation.test.partition("::")
    name = test.partition("[")[0].removeprefix("test_")
    where = mutation.file.removeprefix("media_assets/")
    return f"| `{mutation.name}` | [{where}](../{mutation.file}) | [`{name}`](../{path}) |"


def pages() -> dict[Path, str]:
    """Every generated page: where it lies, and what it must hold."""
    readme = ROOT / "README.md"
    packages = record.renewed()
    return {
        record.PATH: record.text(packages),
        ROOT / "docs" / "dependencies.md": dependencies_page(packages),
        ROOT / "docs" / "configuration.md": configuration_page(),
        ROOT / "docs" / "errors.md": errors_page(),
        ROOT / "docs" / "tables.md": tables_page(),
        ROOT / "docs" / "mutants.md": mutants_page(),
        readme: readme_table.with_section(readme.read_text("utf-8"), readme_table.section()),
    }


def stale() -> list[Path]:
    """The generated pages whose file is missing or differs."""
    return [path for path, text in pages().items() if not path.is_file() or path.read_text("utf-8") != text]


def main(arguments: list[str]) -> int:
    """Write the pages; with `--check` only tell which are out of date. Returns the exit status."""
    if arguments not in ([], ["--check"]):
        print(f"expected nothing or --check, got {arguments}", file=sys.stderr)
        return 2
    for path in (outdated := stale()):
        shown = path.relative_to(ROOT)
        if arguments:
            print(f"{shown} is out of date: run `make docs` and commit it", file=sys.stderr)
        else:
            path.write_text(pages()[path], "utf-8")
            print(f"wrote {shown}")
    return 1 if arguments and outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
