"""Which box of one person is which box of another: the pairing with the greatest overlap in all. Pure.

Boxes, and stretches of time, which are boxes of one axis. Not here: what is made of it (`agreement.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from media_assets.curation.answers import Region


def iou(first: Region, second: Region) -> float:
    """Intersection over union of two extents, 0 to 1, whatever their labels; two equal ones without size have 1.

    Raises:
        ValueError: one is a box and the other a stretch of time.
    """
    if first.extent == second.extent:
        return 1.0
    common = math.prod(
        max(0.0, min(a_end, b_end) - max(a_begin, b_begin))
        for (a_begin, a_end), (b_begin, b_end) in zip(first.extent, second.extent, strict=True)
    )
    union = first.size + second.size - common
    return min(common / union, 1.0) if union > 0 else 0.0


def overlapping(first: Sequence[Region], second: Sequence[Region]) -> Iterator[tuple[int, int, float]]:
    """Every pair (index in first, index in second, IoU) of equal label that overlaps.

    Raises:
        ValueError: some are boxes and others stretches of time.
    """
    by_label: dict[str, list[tuple[float, float, int]]] = {}
    for j, b in enumerate(second):
        by_label.setdefault(b.label, []).append((*b.extent[0], j))
    for those in by_label.values():
        those.sort()
    for i, a in enumerate(first):
        begin, end = a.extent[0]
        for b_begin, b_end, j in by_label.get(a.label, ()):
            if b_begin > end:
                break  # so do all after it
            if b_end >= begin and (overlap := iou(a, second[j])) > 0:
                yield i, j, overlap


def match_regions(first: Sequence[Region], second: Sequence[Region]) -> list[tuple[int, int, float]]:
    """Pairs (index in first, index in second, IoU) of equal label, none used twice, with the greatest sum of IoUs.

    Pairs that do not overlap are left out. Regions are many in a crowded picture, but each overlaps few others: the
    cubic part is done for each cluster of overlapping ones alone.
    """
    overlaps = {(i, j): overlap for i, j, overlap in overlapping(first, second)}
    pairs = []
    for rows, columns in _clusters(overlaps):
        gains = [[overlaps.get((i, j), 0.0) for j in columns] for i in rows]
        for row, column in _best_pairs(gains):
            if gains[row][column] > 0:
                pairs.append((rows[row], columns[column], gains[row][column]))
    return sorted(pairs)


def _clusters(edges: Iterable[tuple[int, int]]) -> list[tuple[list[int], list[int]]]:
    """What hangs together by overlap: (indices in first, indices in second) of each cluster."""
    neighbours: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for i, j in edges:
        neighbours.setdefault(("first", i), []).append(("second", j))
        neighbours.setdefault(("second", j), []).append(("first", i))
    clusters, seen = [], set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        members, todo = {start}, [start]
        while todo:
            new = set(neighbours[todo.pop()]) - members
            members |= new
            todo += new
        seen |= members
        clusters.append(
            (sorted(i for side, i in members if side == "first"), sorted(j for side, j in members if side == "second"))
        )
    return clusters


def _best_pairs(gains: list[list[float]]) -> list[tuple[int, int]]:
    """(row, column) pairs, as many as there are rows or columns, with the greatest sum: the Hungarian method."""
    if len(gains) > len(gains[0]):
        return [(row, column) for column, row in _best_pairs([list(each) for each in zip(*gains, strict=True)])]
    n_rows, n_columns = len(gains), len(gains[0])
    of_rows, of_columns = [0.0] * (n_rows + 1), [0.0] * (n_columns + 1)  # potentials; index 0 stands for "none yet"
    row_of, came_from = [0] * (n_columns + 1), [0] * (n_columns + 1)
    for row in range(1, n_rows + 1):
        row_of[0], column = row, 0
        slack, is_done = [math.inf] * (n_columns + 1), [False] * (n_columns + 1)
        while row_of[column]:
            is_done[column] = True
            here, nearest, step = row_of[column], 0, math.inf
            for other in range(1, n_columns + 1):
                if is_done[other]:
                    continue
                cost = -gains[here - 1][other - 1] - of_rows[here] - of_columns[other]
                if cost < slack[other]:
                    slack[other], came_from[other] = cost, column
                if slack[other] < step:
                    nearest, step = other, slack[other]
            for other in range(n_columns + 1):
                if is_done[other]:
                    of_rows[row_of[other]] += step
                    of_columns[other] -= step
                else:
                    slack[other] -= step
            column = nearest
        while column:
            row_of[column] = row_of[came_from[column]]
            column = came_from[column]
    return [(row_of[column] - 1, column - 1) for column in range(1, n_columns + 1) if row_of[column]]
