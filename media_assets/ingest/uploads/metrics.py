"""What `/metrics` says, in the text format of Prometheus. Counted here since the server began; no name of a token."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "media_assets_uploads"
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters and one histogram."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter({"new": 0, "repeat": 0})
        self.refused: Counter[str] = Counter()
        self.n_bytes = 0
        """Of bodies as they come, whatever becomes of them."""
        self._seconds = [0] * (len(_BOUNDS) + 1)
        self._sum_seconds = 0.0

    def count_bytes(self, n: int) -> None:
        """Some bytes of a body came in."""
        self.n_bytes += n

    def observe(self, seconds: float) -> None:
        """One request that ended with an acknowledged file, from its header to the answer."""
        self._seconds[bisect_left(_BOUNDS, seconds)] += 1
        self._sum_seconds += seconds

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """Everything, with gauges as they are now: name → what it means, value."""
        lines = [
            *_head("received_total", "counter", "Files acknowledged; repeat: the same bytes had been received before."),
            *(f'{_PREFIX}_received_total{{kind="{kind}"}} {n}' for kind, n in sorted(self.received.items())),
            *_head("refused_total", "counter", "Requests refused, by code."),
            *(f'{_PREFIX}_refused_total{{code="{code}"}} {n}' for code, n in sorted(self.refused.items())),
            *_head("body_bytes_total", "counter", "Bytes of bodies that came in."),
            f"{_PREFIX}_body_bytes_total {self.n_bytes}",
        ]
        for name, (meaning, value) in gauges.items():
            lines += [*_head(name, "gauge", meaning), f"{_PREFIX}_{name} {value:g}"]
        lines += _head("request_seconds", "histogram", "From a request's header to the acknowledgement of its files.")
        total = list(accumulate(self._seconds))
        bounds = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
        lines += [
            f'{_PREFIX}_request_seconds_bucket{{le="{bound}"}} {n}' for bound, n in zip(bounds, total, strict=True)
        ]
        lines += [
            f"{_PREFIX}_request_seconds_sum {self._sum_seconds:.6f}",
            f"{_PREFIX}_request_seconds_count {total[-1]}",
        ]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {_PREFIX}_{name} {meaning}", f"# TYPE {_PREFIX}_{name} {kind}"]
