"""What a service that does not start means; these need no service."""

from __future__ import annotations

import pytest

from media_assets_tests.services.availability import Unavailable, give_up, start_repeatedly


def starting(n_failures: int) -> tuple[list[int], object]:
    """Calls that were made, and a start that fails so often before it works."""
    calls: list[int] = []

    def start(n: int) -> str:
        calls.append(n)
        if n <= n_failures:
            raise Unavailable(f"start {n} failed")
        return f"start {n}"

    return calls, start


@pytest.mark.parametrize(("n_failures", "n_calls"), [(0, 1), (1, 2)])
def test_a_service_gets_a_second_start(n_failures: int, n_calls: int) -> None:
    calls, start = starting(n_failures)
    assert start_repeatedly(start) == f"start {n_calls}"  # type: ignore[arg-type]
    assert len(calls) == n_calls


def test_a_service_that_fails_twice_is_unavailable_with_the_last_reason() -> None:
    calls, start = starting(9)
    with pytest.raises(Unavailable, match="start 2 failed"):
        start_repeatedly(start)  # type: ignore[arg-type]
    assert len(calls) == 2


def test_a_missing_service_skips_on_a_users_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        give_up(Unavailable("no browser"))


def test_a_missing_service_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        give_up(Unavailable("no browser"))
