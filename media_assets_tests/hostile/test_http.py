"""Every hostile behaviour of servers, in every spelling of addresses, through planning and materializing."""

from __future__ import annotations

from pathlib import Path

import pytest

from media_assets_tests.hostile.http_run import LyingResolver, run_http


@pytest.mark.slow
@pytest.mark.timeout(300)  # some ten seconds where nobody else is at work
def test_hostile_servers_meet_their_fates_and_the_canary_is_never_touched(tmp_path: Path) -> None:
    ran = run_http(tmp_path)
    assert len(ran.cases) > 400
    assert len(ran.fates) == len(ran.cases)
    assert ran.wrong == {}
    assert ran.canary_hits == 0
    assert sum(fate == "failed/address_refused" for fate in ran.fates.values()) > 150
    # one question for judging and connecting: there is no second answer to fall for
    assert LyingResolver.n_asked["rebind.one.example"] == 1
    assert LyingResolver.n_asked["rebind.two.example"] == 1
    assert ran.seconds < 150
    assert ran.grown_bytes < 400 * 2**20
