"""The compact set of keys behaves as a set, whatever order and sizes its parts come in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media_assets.ingest.known_keys import N_DIGEST_BYTES, KnownKeys, digests_of, first_seen

KEYS = st.lists(st.integers(0, 60).map(str), max_size=30)


@given(st.lists(KEYS, max_size=8), KEYS)
def test_it_holds_exactly_what_was_added(parts, asked):
    known, expected = KnownKeys(), set()
    for part in parts:
        known.add(digests_of(part))
        expected |= set(part)
    assert known.contains(digests_of(asked)).tolist() == [key in expected for key in asked]


@given(KEYS)
def test_the_first_of_equal_keys_is_marked(keys):
    expected = [key not in keys[:at] for at, key in enumerate(keys)]
    assert first_seen(digests_of(keys)).tolist() == expected


def test_many_keys_stay_in_few_arrays_of_sixteen_bytes_a_key():
    known = KnownKeys()
    for start in range(0, 100_000, 1000):
        known.add(digests_of(map(str, range(start, start + 1000))))
    assert len(known) == 100_000
    assert len(known._runs) < 10
    assert sum(run.nbytes for run in known._runs) == 100_000 * N_DIGEST_BYTES
    assert known.contains(digests_of(["0", "99999", "100000"])).tolist() == [True, True, False]
