"""The error tree: stable codes, retryable or not, and errors that survive the way between processes."""

from __future__ import annotations

import pickle

import pytest

from media_assets import errors
from media_assets.errors import (
    AlertUndelivered,
    BatchError,
    ContractBroken,
    ErrorCode,
    ItemError,
    LabelStudioCode,
    LabelStudioFailed,
    LakeUnfit,
    MediaAssetsError,
    ModelCode,
    ModelUnfit,
    NotMaterialized,
    Outage,
    PlanRefused,
    QueryRefused,
    ReconciliationBroken,
    RivalRun,
    SetupError,
    StoreFailed,
    StoreRefused,
    TableDamaged,
)

RETRYABLE = {
    *("connection_failed", "dns_failed", "timeout", "too_slow", "rate_limited", "server_error", "truncated_body"),
    "storage_failed",
    "blob_damaged",
}
FINAL = {
    *("not_found", "forbidden", "http_error", "tls_failed", "too_many_bytes", "too_many_redirects", "url_refused"),
    *("address_refused", "encoding_refused", "checksum_mismatch", "not_a_regular_file", "symlink_refused"),
    *("empty", "unknown_format", "unsupported_format", "no_video", "too_many_pixels", "too_many_frames", "truncated"),
    *("corrupt", "decoder_crashed", "decoder_timeout", "decoder_memory", "bad_row"),
    *("model_failed", "model_output_invalid"),
}
TREE = {
    ItemError: (MediaAssetsError,),
    BatchError: (MediaAssetsError,),
    Outage: (BatchError, ConnectionError),
    StoreFailed: (BatchError, OSError),
    RivalRun: (BatchError,),
    ContractBroken: (BatchError, ValueError),
    ReconciliationBroken: (BatchError, ValueError),
    LabelStudioFailed: (MediaAssetsError,),
    AlertUndelivered: (MediaAssetsError,),
    SetupError: (MediaAssetsError,),
    LakeUnfit: (SetupError, OSError),
    TableDamaged: (LakeUnfit,),
    StoreRefused: (LakeUnfit,),
    ModelUnfit: (SetupError,),
    PlanRefused: (SetupError, ValueError),
    QueryRefused: (SetupError, ValueError),
    NotMaterialized: (SetupError, LookupError),
}


def test_stored_codes_are_never_renamed_or_removed() -> None:
    """Codes may be added, here too; tables that exist hold the old ones."""
    assert {code.value for code in ErrorCode} == RETRYABLE | FINAL


def test_a_retry_is_offered_for_causes_that_pass_by_themselves_only() -> None:
    assert {code.value for code in ErrorCode if code.is_retryable} == RETRYABLE


def test_the_tree_is_the_one_that_callers_catch() -> None:
    raised = {
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MediaAssetsError)
    }
    assert raised == {MediaAssetsError, *TREE}
    for error, bases in TREE.items():
        assert error.__bases__ == bases


def test_the_tree_in_the_module_docstring_is_whole() -> None:
    assert errors.__doc__
    assert [error.__name__ for error in TREE if error.__name__ not in errors.__doc__] == []


def test_an_item_error_says_its_code_and_message() -> None:
    error = ItemError(ErrorCode.TIMEOUT, "expected an answer in 5 s, got none")
    assert str(error) == "timeout: expected an answer in 5 s, got none"
    assert error.is_retryable
    assert not ItemError(ErrorCode.CORRUPT, "x").is_retryable


def test_a_message_is_cut_at_500_characters() -> None:
    error = ItemError(ErrorCode.CORRUPT, "x" * 501)
    assert error.message == "x" * 500


@pytest.mark.parametrize(
    "kind",
    [kind for kind in TREE if kind not in (ItemError, LabelStudioFailed, ModelUnfit)],
    ids=lambda kind: kind.__name__,
)
def test_an_error_survives_pickling(kind: type[MediaAssetsError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what happened")))
    assert (type(again), str(again)) == (kind, "what happened")


def test_a_model_that_is_unfit_says_its_code_and_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(ModelUnfit("expected cats", ModelCode.OUTPUT_MISMATCH)))
    assert (again.code, str(again)) == (ModelCode.OUTPUT_MISMATCH, "model_output_mismatch: expected cats")


def test_an_error_of_label_studio_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(LabelStudioFailed(LabelStudioCode.OUTCOME_UNKNOWN, "expected this", 3.0)))
    assert (type(again), again.code, again.wait_seconds) == (LabelStudioFailed, LabelStudioCode.OUTCOME_UNKNOWN, 3.0)
    assert str(again) == "Expected this"


def test_an_item_error_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(ItemError(ErrorCode.TIMEOUT, "m" * 600)))
    assert (type(again), again.code, again.message) == (ItemError, ErrorCode.TIMEOUT, "m" * 500)
    assert str(again) == "timeout: " + "m" * 500


@pytest.mark.parametrize("kind", [BatchError, Outage, ContractBroken, ReconciliationBroken])
def test_the_findings_of_a_batch_error_survive_pickling(kind: type[BatchError]) -> None:
    error = kind("message", (1, "two"))
    assert (str(error), error.findings) == ("message", (1, "two"))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.findings) == (kind, "message", (1, "two"))
    assert kind("message").findings == ()
