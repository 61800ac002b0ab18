"""How far people agree: of two answers, and of many people over many subjects beyond what chance would give.

Cohen's kappa, Fleiss' kappa and Krippendorff's alpha are nltk's, for labels without order. They are 1 where all agree,
0 where people agree as often as by chance, and less where they agree less; None where nothing can be said. Where there
is only one label in all answers, agreement is perfect, and said to be 1.

Answers come as a frame of `subject_id`, `annotator`, `label`, one row for each person and subject. Importing nltk takes
0.8 s and 58 MB: it is done by the first coefficient that is asked for. Not here: what is settled (`consensus.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import polars as pl

from media_assets.curation.answers import Answer, QuestionKind
from media_assets.curation.matching import match_regions

_Ratings = Iterable[tuple[str, str, str]]  # (annotator, subject, label)


def similarity(first: Answer, second: Answer, kind: QuestionKind) -> float:
    """How alike two answers to one question are, 0 to 1; 1 for equal ones.

    Labels are equal or not. Regions are paired so that their IoUs have the greatest sum, equal labels only; that sum
    counts as a part of the larger number of regions, so that each one too many or too few costs its share. Of a real or
    fake question only the label counts.
    """
    if kind in (QuestionKind.CHOICE, QuestionKind.REAL_FAKE):
        return float(first.label == second.label)
    n_most = max(len(first.regions), len(second.regions))
    if n_most == 0:
        return 1.0
    # In one order, whoever is first: of several best pairings always the same.
    a, b = sorted((tuple(sorted(first.regions)), tuple(sorted(second.regions))))
    return min(math.fsum(overlap for _, _, overlap in match_regions(a, b)) / n_most, 1.0)


def mean_similarity(answers: Sequence[Answer], kind: QuestionKind) -> float:
    """Of every two answers, on average; 1 for one alone."""
    pairs = [similarity(a, b, kind) for a, b in combinations(answers, 2)]
    return min(math.fsum(pairs) / len(pairs), 1.0) if pairs else 1.0


def cohen_kappa(ratings: pl.DataFrame, first: str, second: str) -> float | None:
    """Cohen's kappa of two people over the subjects that both answered; None: there is none."""
    both = ratings.filter(pl.col("annotator").is_in([first, second]))
    both = both.filter(pl.len().over("subject_id") == 2)
    if both.is_empty():
        return None
    return float(_task(_rows(both)).kappa_pairwise(first, second))


def cohen_kappas(ratings: pl.DataFrame, n_pairs: int = 100) -> pl.DataFrame:
    """Cohen's kappa of two people who have subjects in common: `first`, `second`, `n_subjects`, `kappa`.

    Of more than `n_pairs` pairs, those with most subjects in common.
    """
    pairs = (
        ratings.join(ratings, on="subject_id", suffix="_2")
        .filter(pl.col("annotator") < pl.col("annotator_2"))
        .group_by(first="annotator", second="annotator_2")
        .agg(n_subjects=pl.len().cast(pl.Int64))
        .sort("n_subjects", "first", "second", descending=[True, False, False])
        .head(n_pairs)
        .sort("first", "second")
    )
    kappas = [cohen_kappa(ratings, first, second) for first, second in pairs.select("first", "second").iter_rows()]
    return pairs.with_columns(pl.Series("kappa", kappas, pl.Float64))


def fleiss_kappa(ratings: pl.DataFrame) -> float | None:
    """Fleiss' kappa over the subjects that were answered by as many people as most were (of equals: more people).

    Who answered what does not matter to it, only that it was equally many. None: no subject has two answers.
    """
    counted = ratings.with_columns(n=pl.len().over("subject_id")).filter(pl.col("n") >= 2)
    if counted.is_empty():
        return None
    sizes = counted.group_by("n").agg(n_subjects=pl.col("subject_id").n_unique())
    most = sizes.sort("n_subjects", "n", descending=True)["n"][0]
    whole = counted.filter(pl.col("n") == most).sort("subject_id", "annotator")
    places = whole.with_columns(annotator=pl.int_range(pl.len()).over("subject_id").cast(pl.String))
    return float(_task(_rows(places)).pi())


def krippendorff_alpha(ratings: pl.DataFrame) -> float | None:
    """Krippendorff's nominal alpha; people need not have answered the same. None: no subject has two answers."""
    paired = ratings.filter(pl.len().over("subject_id") >= 2)
    if paired.is_empty():
        return None
    return float(_task(_rows(paired)).alpha())


def _rows(ratings: pl.DataFrame) -> _Ratings:
    return ratings.select("annotator", "subject_id", "label").sort(pl.all()).iter_rows()


def _task(rows: _Ratings) -> Any:
    from nltk.metrics.agreement import AnnotationTask

    return AnnotationTask(list(rows))
