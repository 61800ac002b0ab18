"""What a command prints: readable tables, exactly one JSON document, and nothing that steers a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from media_assets.cli_output import Output, Progressbar
from media_assets.errors import ItemError, QueryRefused

Captured = Callable[[], tuple[str, str]]
NOON = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def captured(capsys: pytest.CaptureFixture[str]) -> Captured:
    """What was printed so far: stdout, stderr."""

    def read() -> tuple[str, str]:
        printed = capsys.readouterr()
        return printed.out, printed.err

    return read


def document(captured: Captured) -> Any:
    """The one JSON document on stdout; `NaN` and the like are not JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    out, err = captured()
    assert err == ""
    assert out.count("\n") == 1
    return json.loads(out, parse_constant=refuse)


def test_a_table_shows_names_and_values(captured: Captured) -> None:
    rows = [
        {"batch_id": "a.0001", "failed": 0, "planned_at": NOON, "note": None},
        {"batch_id": "b.0001", "failed": 43, "planned_at": NOON, "note": "x"},
    ]
    Output().table("Batches", rows, empty="Nothing.")
    out, err = captured()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].strip() == "Batches"
    assert "batch id" in out
    assert "planned at" in out
    assert "2026-01-01 12:30:00" in out
    assert "None" not in out
    row = next(line for line in lines if "b.0001" in line)
    assert "43" in row
    assert "\x1b" not in out, "no colours without a terminal"


def test_numbers_stand_to_the_right_and_text_to_the_left(captured: Captured) -> None:
    Output().table("T", [{"n": 7, "t": "x"}, {"n": 123456, "t": "long text"}], empty="")
    first = next(line for line in captured()[0].splitlines() if "7" in line)
    assert "      7" in first
    assert "x        " in first


def test_an_empty_table_says_so(captured: Captured) -> None:
    Output().table("Batches", [], empty="Nothing is planned yet.")
    assert captured() == ("Nothing is planned yet.\n", "")


@pytest.mark.parametrize(
    "text",
    [
        "[red]not markup[/red]",
        "[/]",
        "[bold",
        "\\[x]",
        "ends in a backslash\\",
        ":warning: no emoji",
        "[link=http://x]y[/link]",
    ],
)
@pytest.mark.parametrize("row", ["{0}", "failed"], ids=["any column", "a coloured column"])
def test_text_is_printed_as_it_is_and_never_as_markup(captured: Captured, text: str, row: str) -> None:
    Output().table(text, [{row.format(text): text}], empty="")
    out, _ = captured()
    assert out.count(text) >= 2


HOSTILE = "a\x1b[31mred\x1b]0;title\x07\x08\x9b2J\rback"


@pytest.mark.parametrize("how", ["table", "records", "failure"])
def test_control_characters_are_written_out(captured: Captured, how: str) -> None:
    """Names of foreign files reach the terminal; they must not steer it."""
    if how == "table":
        Output().table("T", [{HOSTILE: HOSTILE}], empty="")
    elif how == "records":
        Output().records([{"name": HOSTILE}])
    else:
        Output().failure(QueryRefused(HOSTILE))
    printed = "".join(captured())
    assert not {char for char in printed if ord(char) < 32 or 127 <= ord(char) < 160} - {"\n"}
    assert r"a\x1b[31mred" in printed


def test_other_scripts_are_printed_as_they_are(captured: Captured) -> None:
    Output().records([{"name": "日本 é 🏞️"}])
    assert "日本 é 🏞️" in captured()[0]


def test_records_are_lines_of_name_and_value(captured: Captured) -> None:
    Output().records([{"item_key": "1.jpg", "at": NOON, "blob": None}, {"item_key": "2.jpg"}])
    assert captured() == (
        "item key  1.jpg\nat        2026-01-01 12:30:00\nblob      \n\nitem key  2.jpg\n\n",
        "",
    )


def test_a_query_says_how_many_rows_there_are(captured: Captured) -> None:
    Output().query(["n", "t"], [(1, "x"), (2, "y")])
    out, _ = captured()
    assert out.splitlines()[0].strip() == "2 rows"
    Output().query(["n"], [])
    assert captured()[0] == "No rows.\n"


def test_bytes_are_told_by_their_number(captured: Captured) -> None:
    tensor = bytes(150528)
    Output().query(["tensor", "many", "by_name"], [(tensor, [tensor, 1], {"a": (tensor,)})])
    out, _ = captured()
    assert len(out) < 1000
    assert out.count("<150528 bytes>") == 3


def test_each_result_is_one_json_document_on_stdout(captured: Captured) -> None:
    output = Output(as_json=True)
    output.table("Batches", [{"a": 1}], empty="Nothing.")
    assert document(captured) == {"rows": [{"a": 1}]}
    output.table("Batches", [], empty="Nothing.")
    assert document(captured) == {"rows": []}
    output.records([{"a": "é"}])
    assert document(captured) == {"rows": [{"a": "é"}]}
    output.query(["a", "b"], [(1, None)])
    assert document(captured) == {"columns": ["a", "b"], "rows": [{"a": 1, "b": None}]}
    output.query(["a"], [])
    assert document(captured) == {"columns": ["a"], "rows": []}
    output.document({"planned": 3})
    assert document(captured) == {"planned": 3}


def test_every_value_that_a_query_gives_fits_into_json(captured: Captured) -> None:
    values: list[tuple[Any, Any]] = [
        (NOON, "2026-01-01T12:30:00+00:00"),
        (date(2026, 1, 1), "2026-01-01"),
        (b"\x00\xff", "<2 bytes>"),
        (Path("/lake"), "/lake"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (float("nan"), None),
        (float("-inf"), None),
        (1.5, 1.5),
        (2**70, 2**70),
        (True, True),
        ([1, (float("nan"), b"x")], [1, [None, "<1 bytes>"]]),
        ({"a": {"at": NOON}}, {"a": {"at": "2026-01-01T12:30:00+00:00"}}),
        ({1: "x", (2, 3): "y"}, {"1": "x", "(2, 3)": "y"}),
        ("line\nbreak\x1b", "line\nbreak\x1b"),
    ]
    names = [f"c{number}" for number in range(len(values))]
    Output(as_json=True).query(names, [[value for value, _ in values]])
    assert document(captured)["rows"] == [dict(zip(names, (told for _, told in values), strict=True))]


def test_a_document_is_for_programs_only(captured: Captured) -> None:
    Output().document({"planned": 3})
    assert captured() == ("", "")


def test_words_for_people_go_to_stderr_when_a_program_reads_stdout(captured: Captured) -> None:
    Output().say("Planned 3 batches.")
    assert captured() == ("Planned 3 batches.\n", "")
    Output(as_json=True).say("Planned 3 batches.")
    assert captured() == ("", "Planned 3 batches.\n")


def test_a_failure_names_its_kind_on_stderr(captured: Captured) -> None:
    Output().failure(QueryRefused("Expected one SELECT, got: DROP"))
    assert captured() == ("", "QueryRefused: Expected one SELECT, got: DROP\n")


def test_a_failure_is_a_json_document_too(captured: Captured) -> None:
    from media_assets.errors import ErrorCode

    Output(as_json=True).failure(ItemError(ErrorCode.TIMEOUT, "no answer"))
    out, err = captured()
    assert json.loads(out) == {"error": {"type": "ItemError", "code": "timeout", "message": "timeout: no answer"}}
    assert err == "ItemError: timeout: no answer\n"


def test_an_interruption_says_what_to_do_next(captured: Captured) -> None:
    Output().interrupted()
    out, err = captured()
    assert out == ""
    assert err.startswith("Interrupted: What is done stays done.")
    Output(as_json=True).interrupted()
    out, err = captured()
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert err.count("\n") == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_a_progress_bar_is_silent_when_no_terminal_looks_on(captured: Captured, as_json: bool) -> None:
    with Progressbar(Output(as_json)) as progress:
        progress("a.0001", 1, 2)
        progress("a.0001", 2, 2)
        progress("b.0001", 1, 1)
    assert captured() == ("", "")


def test_a_progress_bar_shows_each_batch_on_stderr_when_a_terminal_looks_on(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with Progressbar(Output()) as progress:
        progress("a.0001", 1, 2)
        progress("a.0001", 2, 2)
        progress("b.0001", 1, 1)
    out, err = captured()
    assert out == ""
    assert "a.0001" in err
    assert "2/2" in err
    assert "b.0001" in err
