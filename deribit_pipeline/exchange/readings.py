"""Rows of a response of which some may be malformed: what could be read, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numpy.typing import NDArray

from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.exchange.methods import Told


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Rows by column, as they came. `malformed` says what is wrong with rows that could not be
    read, by their moment in UTC milliseconds; their values are NaN."""

    rows: dict[str, NDArray[Any]]
    malformed: Mapping[int, str]

    def whole(self) -> dict[str, NDArray[Any]]:
        """The rows. Raises ValueError where one is malformed."""
        for moment, wrong in self.malformed.items():
            raise ValueError(f"the row of {from_ms(moment)} is malformed: {wrong}")
        return self.rows

    def told(self, as_of: datetime) -> "ToldRows":
        """The same with the exchange's clock."""
        return ToldRows(self.rows, as_of, malformed=self.malformed)


@dataclass(frozen=True, slots=True)
class ToldRows(Told[dict[str, NDArray[Any]]]):
    """Rows, and which of them are malformed, as `Reading` says."""

    malformed: Mapping[int, str] = field(default_factory=dict)
