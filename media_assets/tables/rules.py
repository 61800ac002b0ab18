"""A pandera model's rules as one polars query: whether a frame holds all of them, yes or no.

pandera runs a query of its own for every rule, some twenty milliseconds a frame however few its rows; a batch is
looked at a dozen times. Here all rules of a model are one query, of less than one millisecond. Not here: which rows
break which rule; pandera is asked for that where the answer is no.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, cast

import pandera.backends.polars.builtin_checks  # noqa: F401 - teaches pandera's checks what to do with polars
import pandera.polars as pa
import polars as pl


class _AskedFrame:
    """Stands for the frame that a check looks at, and hands out the expression that it would have looked with.

    A check of pandera's polars backend is a function of `PolarsData` that returns `data.lazyframe.select(expression)`.
    """

    def select(self, expression: pl.Expr) -> pl.Expr:
        return expression


def all_hold(model: type[pa.DataFrameModel]) -> pl.Expr:
    """One boolean: whether every value of a frame that has the model's columns and types holds the model's rules.

    Raises:
        TypeError: the model has a rule of another kind than a check of values or "never null".
    """
    schema = model.to_schema()
    if schema.unique or any(column.unique or column.regex or column.coerce for column in schema.columns.values()):
        raise TypeError(f"{model.__name__}: expected checks and nullability only, got unique, regex or coerce")
    verdicts = [_holds(check, "*") for check in schema.checks]
    for name, column in schema.columns.items():
        verdicts += [_holds(check, name) for check in column.checks]
        if not column.nullable:
            verdicts.append(_is_there(name, column.dtype.type))
    return reduce(pl.Expr.and_, verdicts, pl.lit(True))


def _holds(check: Any, column: str) -> pl.Expr:
    if check.element_wise or check.groupby:
        raise TypeError(f"{check.name} of {column}: expected a check that is one polars expression")
    answer = check._check_fn(pa.PolarsData(cast("pl.LazyFrame", _AskedFrame()), column), **check._check_kwargs)
    if not isinstance(answer, pl.Expr):
        raise TypeError(f"{check.name} of {column}: expected a check that is one polars expression, got {answer!r}")
    return answer.fill_null(check.ignore_na).all()


def _is_there(column: str, kind: pl.DataType) -> pl.Expr:
    """Never null; for pandera "not a number" is no value either."""
    values = pl.col(column)
    present = values.is_not_null() & values.is_not_nan() if kind.is_float() else values.is_not_null()
    return present.all()
