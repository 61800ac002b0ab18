"""The label queue at a glance: how many wait, for how long, how much is answered, and how far people agree.

Drawn by matplotlib's figure objects on the Agg canvas: no pyplot, no shared state. Not here: counting.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

_STATES = {
    "queued": "#b9bcc4",
    "pushed": "#7fa8dc",
    "annotated": "#3b6fd1",
    "agreed": "#8cc79b",
    "needs_adjudication": "#e08a2e",
    "accepted": "#3a9150",
    "withdrawn": "#5a5a60",
}
_AGES = ((1, "< 1"), (3, "1-3"), (7, "3-7"), (14, "7-14"), (30, "14-30"), (float("inf"), "30 +"))


def queue_png(depth: Mapping[str, Mapping[str, int]], ages_days: Sequence[float], title: str) -> bytes:
    """PNG of two panels: tasks by state for each project, and days for which those that wait have waited.

    Args:
        depth: project → state → number of tasks.
        ages_days: of each task that is not settled, days since it was queued.
        title: one line above.

    Raises:
        ValueError: there is no project.
    """
    if not depth:
        raise ValueError("expected at least one project, got none; queue something first")
    figure = _figure(0.6 + 0.4 * max(len(depth), 3))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    names = sorted(depth, reverse=True)
    begun = dict.fromkeys(names, 0)
    for state, colour in _STATES.items():
        counts = [depth[name].get(state, 0) for name in names]
        if any(counts):
            left.barh(names, counts, left=[begun[n] for n in names], color=colour, label=state.replace("_", " "))
        begun = {name: begun[name] + n for name, n in zip(names, counts, strict=True)}
    left.set_xlabel("tasks", fontsize=8)
    figure.legend(fontsize=7, edgecolor="none", ncols=len(_STATES), loc="outside upper right", columnspacing=1)
    counts = [0] * len(_AGES)
    for age in ages_days:
        counts[next(place for place, (end, _) in enumerate(_AGES) if age < end)] += 1
    right.bar([label for _, label in _AGES], counts, color=_STATES["pushed"])
    right.set_xlabel("days waited", fontsize=8)
    return _png(figure, (left, right), title)


def agreement_png(
    answers: Mapping[date, int], agreement: Mapping[date, Sequence[float]], ties: Mapping[date, int], title: str
) -> bytes:
    """PNG of two panels over days: answers that were given, with ties; and agreement, the mean and each task.

    Args:
        answers: UTC day → answers submitted.
        agreement: UTC day → agreement (0..1) of each task that was settled or tied by its answers.
        ties: UTC day → ties among them.
        title: one line above.

    Raises:
        ValueError: there is no answer.
    """
    if not answers:
        raise ValueError("expected at least one answer, got none; pull annotations first")
    figure = _figure(2.4)
    left, right = figure.subplots(1, 2)
    days = sorted({*answers, *agreement})
    left.bar(days, [answers.get(day, 0) for day in days], color=_STATES["annotated"], label="answers")
    left.bar(days, [ties.get(day, 0) for day in days], color=_STATES["needs_adjudication"], label="ties", width=0.4)
    left.legend(fontsize=7, edgecolor="none")
    for day, values in agreement.items():
        right.plot([day] * len(values), values, ".", color=_STATES["agreed"], alpha=0.5, markersize=4)
    settled = sorted(day for day, values in agreement.items() if values)
    means = [sum(agreement[day]) / len(agreement[day]) for day in settled]
    right.plot(settled, means, "o-", color=_STATES["accepted"], linewidth=1.3, markersize=4)
    right.set_ylim(-0.04, 1.04)
    right.set_ylabel("agreement", fontsize=8)
    for axes in (left, right):
        axes.xaxis.set_major_locator(_few_days(days))
        axes.xaxis.set_major_formatter(_short_days())
    return _png(figure, (left, right), title)


def _figure(height: float) -> Any:
    # only these functions need matplotlib, and importing it costs more than drawing
    from matplotlib.figure import Figure

    return Figure(figsize=(7.6, height), dpi=100, layout="constrained")


def _few_days(days: Sequence[date]) -> Any:
    from matplotlib.dates import date2num
    from matplotlib.ticker import FixedLocator

    step = -(-len(days) // 6)
    return FixedLocator([float(date2num(day)) for day in days[::step]])  # type: ignore[no-untyped-call]


def _short_days() -> Any:
    from matplotlib.dates import DateFormatter

    return DateFormatter("%d %b")  # type: ignore[no-untyped-call]


def _png(figure: Any, panels: Sequence[Any], title: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
