"""Property tests as fuzz targets: everything with an invariant is tried for as long as asked, far beyond a test's run.

Hypothesis reads its choices from bytes here (`fuzz_one_input`); bytes that led somewhere valid are changed and tried
again. Not here: the properties, which are tests of their own; pictures, URLs and lists as mutants (`fuzz`).
"""

from __future__ import annotations

import random
import time
import traceback
import warnings
from pathlib import Path

from media_assets.engine.imports import resolve
from media_assets_tests.hostile.findings import MAX_SEEDS, Findings
from media_assets_tests.hostile.mutations import mutated

_TESTS = "media_assets_tests"
PROPERTIES = {
    "probe": f"{_TESTS}.media.test_still:test_a_true_beginning_with_any_end_has_one_verdict",
    "orientation": f"{_TESTS}.media.test_still:test_every_turn_is_undone_exactly_once",
    "names": f"{_TESTS}.ingest.test_folder:test_any_name_leads_back_to_its_file_and_to_no_other",
    "item keys": f"{_TESTS}.ingest.test_item_keys:test_two_paths_never_share_a_key",
    "url guard": f"{_TESTS}.ingest.fetch.test_addresses:"
    "test_judgement_is_a_url_or_one_of_two_codes_when_the_text_is_anything",
    "wrapped addresses": f"{_TESTS}.ingest.fetch.test_addresses:"
    "test_judgement_is_never_milder_when_an_address_is_wrapped",
    "local files": f"{_TESTS}.ingest.fetch.test_local_files:test_a_uri_names_a_file_below_its_root_or_is_refused",
    "inbox rounds": f"{_TESTS}.ingest.test_bucket_stretches:"
    "test_every_key_is_found_within_one_round_whatever_is_put_and_deleted_when",
    "redaction": f"{_TESTS}.ingest.fetch.test_redaction:test_the_mart_and_the_tables_keep_the_same_of_a_uri",
    "csv rows": f"{_TESTS}.ingest.test_csv_rows:test_good_rows_behind_any_damage_are_read",
    "csv planning": f"{_TESTS}.ingest.open_images.test_reader:"
    "test_any_list_is_planned_whole_and_planning_it_again_changes_nothing",
    "upload names": f"{_TESTS}.ingest.uploads.test_names:test_any_name_is_one_plain_entry_that_the_inbox_takes",
    "upload forms": f"{_TESTS}.ingest.uploads.test_forms:test_any_cut_of_a_form_gives_its_files",
    "quantisation": f"{_TESTS}.media.test_tensors:test_what_is_stored_is_within_half_a_step_of_what_was_meant",
    "reader": f"{_TESTS}.serving.test_placing:test_samples_equal_the_formula",
    "lake overwrite": f"{_TESTS}.lake.test_delta:test_any_overwrites_leave_what_a_dict_would_hold",
    "duplicates": f"{_TESTS}.stages.test_rows:test_duplicates_do_not_depend_on_the_order_of_arrival",
    "histograms": f"{_TESTS}.stages.test_histograms:test_any_history_of_batches_ends_in_the_statistics_of_one_pass",
    "label states": f"{_TESTS}.curation.test_label_states:test_every_walk_keeps_the_promises",
    "label priorities": f"{_TESTS}.curation.test_priorities:test_any_order_of_rows_gives_one_order_of_frames",
    "regions": f"{_TESTS}.curation.test_matching:test_no_pairing_overlaps_more",
    "agreement": f"{_TESTS}.curation.test_agreement:test_similarity_is_symmetric_bounded_and_one_for_equal_answers",
    "consensus": f"{_TESTS}.curation.test_consensus:test_no_order_of_answers_or_regions_changes_the_verdict",
    "status merging": f"{_TESTS}.stages.test_interleavings:"
    "test_any_order_of_failures_fixes_and_replays_ends_in_the_tables_of_a_clean_run",
}
"""What is fuzzed → the property test. None of them takes a fixture."""


def fuzz_property(name: str, seconds: float, seed: int, folder: Path) -> Findings:
    """Try one property until the time is up, at least once; a failing input is kept, and its assertion told."""
    found, noise = Findings(folder), random.Random(f"{name} {seed}")
    try_one = resolve(PROPERTIES[name]).hypothesis.fuzz_one_input
    buffers: list[bytes] = []
    deadline = time.monotonic() + seconds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while not found.n_executions or time.monotonic() < deadline:
            fresh = noise.randbytes(noise.choice((8, 64, 512, 4096)))
            buffer = fresh if not buffers or noise.random() < 0.4 else mutated(noise.choice(buffers), buffers, noise)
            try:
                used = try_one(buffer)
            except Exception as error:
                found.note(f"outside: {type(error).__name__}")
                found.keep(buffer, traceback.format_exc(limit=-3))
                continue
            found.note("held" if used is not None else "not an example")
            if used is not None and len(buffers) < MAX_SEEDS:
                buffers.append(used)
    return found
