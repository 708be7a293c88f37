"""The kinds of frames, and the options that select one.

Each function of the reader has one overload for each kind, so that type checkers know which frame
it returns. The overloads share these options.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

FrameKind: TypeAlias = Literal["pandas", "arrow", "polars"]
Place: TypeAlias = Path | str
"""A warehouse, spelled as DERIBIT_WAREHOUSE is."""

Frame: TypeAlias = "pd.DataFrame | pa.Table | pl.DataFrame"


class _Of(TypedDict, total=False):
    warehouse: Place | None


class Pandas(_Of, total=False):
    frame: Literal["pandas"]


class Arrow(_Of, total=False):
    frame: Required[Literal["arrow"]]


class Polars(_Of, total=False):
    frame: Required[Literal["polars"]]


class _OfDays(TypedDict, total=False):
    complete_only: bool


class PandasOfDays(Pandas, _OfDays, total=False):
    """Rows of days, which may have to be complete."""


class ArrowOfDays(Arrow, _OfDays, total=False):
    """See PandasOfDays."""


class PolarsOfDays(Polars, _OfDays, total=False):
    """See PandasOfDays."""
