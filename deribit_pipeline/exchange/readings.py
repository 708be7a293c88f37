"""Parsed rows of a response, some of which may be malformed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from numpy.typing import NDArray

from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.exchange.methods import ParsedResponse


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Rows by column, in the response's order. `malformed` maps the timestamp of each malformed
    row, in UTC milliseconds, to what is wrong with it; the values of these rows are NaN."""

    rows: dict[str, NDArray[Any]]
    malformed: Mapping[int, str]

    def whole(self) -> dict[str, NDArray[Any]]:
        """The rows. Raises ValueError if one is malformed."""
        for moment, wrong in self.malformed.items():
            raise ValueError(f"the row of {from_ms(moment)} is malformed: {wrong}")
        return self.rows

    def with_time(self, as_of: datetime) -> "ResponseRows":
        """The same rows with the exchange's time."""
        return ResponseRows(self.rows, as_of, malformed=self.malformed)


@dataclass(frozen=True, slots=True)
class ResponseRows(ParsedResponse[dict[str, NDArray[Any]]]):
    """Rows with the exchange's time, and which of them are malformed, as in `Reading`."""

    malformed: Mapping[int, str] = field(default_factory=dict)
