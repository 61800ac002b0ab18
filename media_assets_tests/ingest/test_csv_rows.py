"""Rows of a damaged file: every good row is read as the csv module wrote it, with its line number."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from media_assets.ingest.csv_rows import MAX_LINE, BadRecord, Record, physical_lines, records

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


def read(text: str, n_columns: int) -> list[Record | BadRecord]:
    return list(records(physical_lines(io.StringIO(text, newline="")), n_columns))


def written(rows) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=8))
def test_rows_come_back_whatever_text_they_hold(rows):
    assert [record.fields for record in read(written(rows), 3)] == rows


@given(st.text(max_size=300), st.integers(1, 4))
def test_no_text_at_all_stops_the_reading(text, n_columns):
    found = read(text, n_columns)
    assert all(len(r.fields) == n_columns for r in found if isinstance(r, Record))
    lines = [r.line for r in found]
    assert lines == sorted(set(lines))


@given(st.lists(st.sampled_from(['"', '"a', 'a"b', "a,b,c", "a", '"x"y,z']), max_size=6))
def test_good_rows_behind_any_damage_are_read(damage):
    good = [["1", "2"], ["a,b", 'c"d']]
    found = read("".join(f"{line}\n" for line in damage) + "1,2\r\n" + written(good), 2)
    assert [r.fields for r in found[-2:] if isinstance(r, Record)] == good


def test_a_line_is_cut_not_loaded_when_it_has_no_end():
    lines = list(physical_lines(io.StringIO("x" * (3 * MAX_LINE) + "\na,b\n", newline="")))
    assert [len(line) for line in lines] == [1001, 4]
    assert lines[0].endswith("\0")


def test_line_numbers_count_lines_not_rows():
    found = read('a,"1\n2"\n\nbad\nb,c\n', 2)
    assert [(type(r), r.line) for r in found] == [(Record, 1), (BadRecord, 4), (Record, 5)]
