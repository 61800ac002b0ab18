"""Words of others in a message: one line, no secret of a URL, nobody called by name."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.ingest.fetch.redaction import shown
from media_assets.ops.alerts.safe_text import MOST_CHARS, safe_text


def test_secrets_of_urls_and_calls_to_a_team_are_gone() -> None:
    told = safe_text("got 'http://me:pass@host/a?sig=1', (https://h/b?x=2)\nof @channel\x1b[2J `rm` a.jpg@3f2a", shown)
    assert told == "got 'http://…@host/a?…', (https://h/b?… of @\u200bchannel [2J 'rm' a.jpg@3f2a"


@settings(deadline=None)
@given(st.text(max_size=3000), st.sampled_from(["http://u:hunter2@h/", "https://h/?k=hunter2", "s3://h/x?hunter2"]))
def test_any_text_is_one_printable_line_of_bounded_length(text: str, url: str) -> None:
    told = safe_text(f"{text} {url} {text}", shown)
    assert len(told) <= MOST_CHARS
    assert all(char.isprintable() or char == "\u200b" for char in told)
    assert "hunter2" not in told
    assert "@everyone" not in safe_text(f"@everyone {text}", shown)
