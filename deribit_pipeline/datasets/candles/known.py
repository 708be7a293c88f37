"""Candles as they were known at an instant: the table or macro to read them from."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from deribit_pipeline.domain.candles import Resolution
from deribit_pipeline.domain.windows import from_ms
from deribit_pipeline.warehouse.place import Connection

# Whether a snapshot of a lake has exactly the rows of an instrument that arrived until an instant.
# Its timestamp does not show this: it is the time at which the transaction began, and days are
# written shortly after they are published.
_IS_THE_SAME = """
    select (
        select (count(*), count(*) filter (arrived_at <= $as_of))
        from candle_arrivals at (version => $snapshot) where instrument_name = $instrument_name
    ) = (
        select (count(*), count(*))
        from candle_arrivals where instrument_name = $instrument_name and arrived_at <= $as_of
    ) and (
        select (count(*), count(*) filter (replaced_at <= $as_of))
        from candle_revisions at (version => $snapshot) where instrument_name = $instrument_name
    ) = (
        select (count(*), count(*))
        from candle_revisions where instrument_name = $instrument_name and replaced_at <= $as_of
    )
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What to select candles from, with its parameters; everything by default."""

    source: str = "candles"
    parameters: dict[str, object] = field(default_factory=dict)

    @property
    def is_everything(self) -> bool:
        """Whether it is everything that is stored today."""
        return not self.parameters


EVERYTHING = Known()


def known_at(
    connection: Connection, instrument_name: str, moment: datetime, snapshot: int | None
) -> Known:
    """The candles of an instrument as they were known at an instant of the exchange's clock.

    They are computed from arrivals and revisions, or read from the `snapshot` of a lake of that age
    if it holds the same rows, which is ten times faster.
    """
    if snapshot is not None:
        [(is_the_same,)] = connection.execute(
            _IS_THE_SAME,
            {"snapshot": snapshot, "instrument_name": instrument_name, "as_of": moment},
        ).fetchall()
        if is_the_same:
            return Known("candles at (version => $snapshot)", {"snapshot": snapshot})
    return Known("candles_as_of($as_of)", {"as_of": moment})


def first_stored(
    connection: Connection, instrument_name: str, resolution: Resolution, first: date, last: date
) -> dict[date, datetime]:
    """Since when any candles of each of these days are stored; days without candles are omitted."""
    rows = connection.execute(
        """
        select day, epoch_us(min(arrived_at))
        from candle_arrivals
        where instrument_name = $name and resolution = $resolution
          and day between $first and $last
        group by day
        """,
        {"name": instrument_name, "resolution": resolution.value, "first": first, "last": last},
    ).fetchall()
    return {day: from_ms(0) + timedelta(microseconds=arrived_us) for day, arrived_us in rows}
