"""The tables and views of candles."""

from deribit_pipeline.domain.columns import INSTRUMENT, OPENED_AT, VALUES
from deribit_pipeline.domain.tables import CROSS_CHECK, PROOF_HASH, Column, Table, View

_CHART = "public/get_tradingview_chart_data"

_RESOLUTION = Column(
    "resolution", "varchar", "A candle's length in Deribit's spelling: minutes, or 1D."
)
_DAY = Column("day", "date", "The day on which the candles open.", "UTC")
RUN_ID = Column("run_id", "varchar", "The Dagster run that wrote the row.")

CANDLES = Table(
    name="candles",
    description="One row for each closed candle of an instrument and resolution.",
    key=("instrument_name", "resolution", "opened_at"),
    columns=(INSTRUMENT, _RESOLUTION, OPENED_AT, *VALUES),
    source=_CHART,
    warnings=(
        "A minute without a trade repeats the last close with volume 0, as published.",
        "A 1D candle opens at 08:00 UTC.",
        "Days that are not complete are included: complete_candles leaves them out.",
    ),
    # Keeps an instrument's days together, in a number of files that does not depend on instruments.
    layout=(
        "partitioned by (bucket(32, instrument_name))",
        "sorted by (instrument_name, resolution, opened_at)",
    ),
)

CANDLE_DAYS = Table(
    name="candle_days",
    description="One row for each instrument, resolution and UTC day that was ever requested: the "
    "proof for the stored candles that open on that day.",
    key=("instrument_name", "resolution", "day"),
    columns=(
        INSTRUMENT,
        _RESOLUTION,
        _DAY,
        Column("state", "varchar", "complete, open, gapped or not_listed."),
        Column(
            "expected", "integer", "Candles that open while the instrument is listed.", "candles"
        ),
        Column("received", "integer", "Stored candles, all of them closed.", "candles"),
        Column("missing", "integer", "Closed candles missing on the exchange.", "candles"),
        Column("without_trades", "integer", "Stored candles without a trade.", "candles"),
        Column("content_hash", "varchar", "BLAKE2b-128 of every stored value, in hex."),
        Column("revised", "integer", "Changes of closed candles detected so far.", "changes"),
        Column(
            "fetched_at",
            "timestamptz",
            "The exchange's time of the last response that changed the day.",
            "UTC",
        ),
        Column("environment", "varchar", "mainnet, testnet or sandbox."),
        Column("source", "varchar", "The API root of the responses."),
        RUN_ID,
        Column(
            "verdict",
            "varchar",
            "Findings about the day, in words, such as how its candles differ from the "
            "exchange's coarser ones; empty if there are none.",
        ),
        CROSS_CHECK,
        PROOF_HASH,
    ),
    source="counted by this pipeline",
    warnings=("A day without a row was never requested.",),
)

CANDLE_GAPS = Table(
    name="candle_gaps",
    description="One row for each closed candle that is missing on the exchange.",
    key=("instrument_name", "resolution", "opened_at"),
    columns=(
        INSTRUMENT,
        _RESOLUTION,
        OPENED_AT,
        Column(
            "confirmed",
            "integer",
            "How often it was requested again without success, in another window.",
            "times",
        ),
        Column("confirmed_at", "timestamptz", "When it was last requested without success.", "UTC"),
    ),
    source=_CHART,
)

CANDLE_REVISIONS = Table(
    name="candle_revisions",
    description="One row for each time that the exchange changed a closed candle: the values that "
    "were stored before.",
    key=("instrument_name", "resolution", "opened_at", "replaced_at"),
    columns=(
        INSTRUMENT,
        _RESOLUTION,
        OPENED_AT,
        *VALUES,
        Column(
            "held_from",
            "timestamptz",
            "The time from which, at the latest, these values were stored.",
            "UTC",
        ),
        Column("replaced_at", "timestamptz", "When the exchange returned other values.", "UTC"),
        RUN_ID,
    ),
    source=_CHART,
)

CANDLE_ARRIVALS = Table(
    name="candle_arrivals",
    description="One row for each contiguous run of a day's candles that arrived together: the "
    "time since when they are stored.",
    key=("instrument_name", "resolution", "first_opened_at"),
    columns=(
        INSTRUMENT,
        _RESOLUTION,
        _DAY,
        Column("first_opened_at", "timestamptz", "When the first of them opens.", "UTC"),
        Column("last_opened_at", "timestamptz", "When the last of them opens.", "UTC"),
        Column("arrived_at", "timestamptz", "When the exchange first returned them.", "UTC"),
        RUN_ID,
    ),
    source="counted by this pipeline",
    warnings=(
        "In a warehouse of version 1, candles arrived at their day's last change, at the latest.",
    ),
)

COMPLETE_CANDLES = View(
    name="complete_candles",
    description="One row for each candle of a complete day: the view to use for research.",
    query="""
select candles.*
from candles
join candle_days using (instrument_name, resolution)
where candle_days.day = cast(timezone('UTC', candles.opened_at) as date)
  and candle_days.state = 'complete'""",
)

CANDLES_AS_OF = View(
    name="candles_as_of",
    parameters=("moment",),
    description="One row for each candle that was stored at an instant, as it was known then: "
    "from candles_as_of(now()). Point-in-time history begins with the first backfill: an earlier "
    "moment has no rows.",
    query="""
select candles.*
from candles
join candle_arrivals as arrival using (instrument_name, resolution)
where arrival.day = cast(timezone('UTC', candles.opened_at) as date)
  and candles.opened_at between arrival.first_opened_at and arrival.last_opened_at
  and arrival.arrived_at <= cast(moment as timestamptz)
  and not exists (
      from candle_revisions as revision
      where revision.instrument_name = candles.instrument_name
        and revision.resolution = candles.resolution
        and revision.opened_at = candles.opened_at
        and revision.replaced_at > cast(moment as timestamptz)
  )
union all
select instrument_name, resolution, opened_at, open, high, low, close, volume_base, volume_quote
from candle_revisions
where held_from <= cast(moment as timestamptz) and replaced_at > cast(moment as timestamptz)""",
)

MORE_TABLES = (CANDLE_DAYS, CANDLE_GAPS, CANDLE_REVISIONS, CANDLE_ARRIVALS)
VIEWS = (COMPLETE_CANDLES, CANDLES_AS_OF)
