"""The tables of the market beside candles: specifications, funding, volatility, trades,
settlements, prices."""

from dataclasses import replace

from deribit_pipeline.datasets.candles.table import INSTRUMENT, OPENED_AT, VALUES
from deribit_pipeline.domain.tables import Column, Table, View

_CURRENCY = Column("currency", "varchar", "The currency, by Deribit's own name.")
_INDEX_NAME = Column("index_name", "varchar", "The price index, by Deribit's own name.")

INSTRUMENTS = Table(
    name="instruments",
    description="One row for each instrument and each specification that it had.",
    key=("instrument_name", "valid_from"),
    columns=(
        INSTRUMENT,
        Column(
            "instrument_id", "bigint", "The exchange's number of the instrument.", is_nullable=True
        ),
        Column("kind", "varchar", "future, option, spot, future_combo or option_combo."),
        Column("instrument_type", "varchar", "reversed (inverse) or linear.", is_nullable=True),
        Column("base_currency", "varchar", "The currency that amounts of it are in."),
        Column("quote_currency", "varchar", "The currency that its price is in."),
        Column("counter_currency", "varchar", "The counter currency.", is_nullable=True),
        Column("settlement_currency", "varchar", "The currency it settles in.", is_nullable=True),
        Column("settlement_period", "varchar", "perpetual, day, week or month.", is_nullable=True),
        Column("listed_at", "timestamptz", "When it was listed.", "UTC"),
        Column("expires_at", "timestamptz", "When it expires; null: never.", "UTC", True),
        Column("strike", "double", "An option's strike.", "counter currency", True),
        Column("option_type", "varchar", "An option's type: call or put.", is_nullable=True),
        Column("price_index", "varchar", "The index that it follows.", is_nullable=True),
        Column("contract_size", "double", "What one contract is of.", "as amounts of trades"),
        Column("tick_size", "double", "The least step of its price.", "quote currency"),
        Column(
            "tick_size_steps",
            "json",
            "Other steps from certain prices on: `above_price` and `tick_size`, by price.",
        ),
        Column("min_trade_amount", "double", "The least amount.", "as amounts of trades"),
        Column("maker_commission", "double", "What a maker pays.", "fraction of the value", True),
        Column("taker_commission", "double", "What a taker pays.", "fraction of the value", True),
        Column("max_leverage", "double", "The highest leverage.", "times", True),
        Column(
            "valid_from",
            "timestamptz",
            "Since when the specification holds: since the listing for the first one seen, since "
            "the change was seen for a later one.",
            "UTC",
        ),
        Column("valid_to", "timestamptz", "Until when; null: as far as is known.", "UTC", True),
        Column("first_seen_at", "timestamptz", "When the exchange first told it.", "UTC"),
        Column("last_seen_at", "timestamptz", "When it was last told so.", "UTC"),
        Column(
            "run_id",
            "varchar",
            "The Dagster run that wrote the row; empty where the command line did.",
        ),
    ),
    source="public/get_instruments",
    warnings=(
        "What an instrument's specification was before it was first seen, nobody told: changes "
        "before `first_seen_at` are not in here.",
        "A change is dated when it was seen, at most one polling after it happened. What is told "
        "differently only after the expiry changes nothing.",
        "`listed_at` and `expires_at` are the instrument's own, the same in each of its rows.",
        "An instrument that the exchange no longer tells stays: see `last_seen_at`.",
    ),
)

INSTRUMENT_LISTS = Table(
    name="instrument_lists",
    description="One row for each currency of which the exchange was asked for its instruments.",
    key=("currency",),
    columns=(
        _CURRENCY,
        Column("asked_at", "timestamptz", "When it was last asked, on its own clock.", "UTC"),
    ),
    source="public/get_instruments",
    warnings=("Of a currency without a row, `instruments` need not hold anything.",),
)

FUNDING_RATES = Table(
    name="funding_rates",
    description="One row for each hour of a perpetual.",
    key=("instrument_name", "funded_at"),
    columns=(
        INSTRUMENT,
        Column("funded_at", "timestamptz", "The end of the hour.", "UTC"),
        Column(
            "interest_1h",
            "double",
            "Funding of the hour, of the position's value at its beginning.",
            "fraction",
        ),
        Column(
            "interest_8h",
            "double",
            "Funding of the last eight hours, of the position's value at their beginning.",
            "fraction",
        ),
        Column("index_price", "double", "The index at the end.", "currency of the index"),
        Column("prev_index_price", "double", "The index an hour before.", "currency of the index"),
    ),
    source="public/get_funding_rate_history",
    warnings=(
        "A positive rate is paid by long to short positions.",
        "`interest_8h` is of eight hours, and the next one of seven of these again: add up "
        "`interest_1h`, best by cumulative_funding.",
        "A few hours were never published: see dataset_gaps.",
    ),
)

VOLATILITY_INDEX = Table(
    name="volatility_index",
    description="One row for each closed candle of a currency's DVOL.",
    key=("currency", "resolution", "opened_at"),
    columns=(
        _CURRENCY,
        Column(
            "resolution", "varchar", "A candle's length in Deribit's spelling: 60 or 3600 seconds."
        ),
        OPENED_AT,
        Column("open", "double", "The index at the opening.", "percent a year"),
        Column("high", "double", "Its highest value.", "percent a year"),
        Column("low", "double", "Its lowest value.", "percent a year"),
        Column("close", "double", "The index at the end.", "percent a year"),
    ),
    source="public/get_volatility_index_data",
    warnings=("Resolutions are in seconds here, and in minutes in `candles`.",),
)

TRADES = Table(
    name="trades",
    description="One row for each trade.",
    key=("instrument_name", "trade_seq"),
    columns=(
        INSTRUMENT,
        Column("trade_seq", "bigint", "The number of the trade within its instrument."),
        Column("trade_id", "varchar", "The exchange's id of the trade."),
        Column("traded_at", "timestamptz", "When it was traded, to the millisecond.", "UTC"),
        Column("direction", "varchar", "What the taker did: buy or sell."),
        Column(
            "tick_direction",
            "utinyint",
            "0 up, 1 same after up, 2 down, 3 same after down.",
            is_nullable=False,
        ),
        Column("price", "double", "The price.", "quote currency"),
        Column("mark_price", "double", "The mark price then.", "quote currency", True),
        Column("index_price", "double", "The index then.", "currency of the index", True),
        Column(
            "amount",
            "double",
            "The amount.",
            "USD for inverse futures, base currency for linear ones and options",
        ),
        Column("contracts", "double", "The amount in contracts.", "contracts", True),
        Column("iv", "double", "An option's implied volatility.", "percent a year", True),
        Column("liquidation", "varchar", "Whose liquidation: M, T or MT.", is_nullable=True),
        Column("block_trade_id", "varchar", "The block trade it is part of.", is_nullable=True),
        Column("combo_id", "varchar", "The combo it is part of.", is_nullable=True),
    ),
    source="public/get_last_trades_by_instrument",
    warnings=(
        "Many trades share a millisecond: order by `trade_seq`, never by `traded_at`.",
        "A trade is on the day of its time. Numbers that lack between the trades of two days are "
        "gaps of both.",
    ),
)

CANDLES_REBUILT = Table(
    name="candles_rebuilt",
    description="One row for each one-minute candle as the trades of a complete day make it.",
    key=("instrument_name", "opened_at"),
    columns=(
        INSTRUMENT,
        OPENED_AT,
        *(replace(value, is_nullable=value.name.startswith("volume_")) for value in VALUES),
        Column("trades", "integer", "Trades in it.", "trades"),
    ),
    source="the table trades",
    warnings=(
        "A minute without a trade repeats the last close with volume 0.",
        "Volumes of combos are null: their price is a difference of prices, and value over a price "
        "that may be 0 or negative says nothing. So are those of any minute with such a price.",
        "Block trades and legs of combos are counted in: whether the exchange's candles have them "
        "is not known (assumption:candles-blocks).",
    ),
)

SETTLEMENTS = Table(
    name="settlements",
    description="One row for each settlement, delivery, exercise or bankruptcy of an instrument.",
    key=("currency", "settled_at", "instrument_name", "type"),
    columns=(
        _CURRENCY,
        Column("settled_at", "timestamptz", "When it settled, to the millisecond.", "UTC"),
        Column(
            "instrument_name",
            "varchar",
            "The instrument, by Deribit's own name; a mark such as #5e0c91b7 for a bankruptcy, "
            "which is of none.",
        ),
        Column("type", "varchar", "settlement, delivery, exercise or bankruptcy."),
        Column("position", "double", "The open interest.", "as amounts of trades", True),
        Column("mark_price", "double", "The mark price.", "quote currency", True),
        Column("index_price", "double", "The index.", "currency of the index", True),
        Column("funding", "double", "Funding of the session.", "currency", True),
        Column("profit_loss", "double", "Profit and loss.", "currency", True),
        Column("session_profit_loss", "double", "A total of the session.", "", True),
        Column("funded", "double", "Amount funded, of a bankruptcy.", "currency", True),
        Column("session_bankruptcy", "double", "Of a bankruptcy.", "currency", True),
        Column("session_tax", "double", "Taxes, of a bankruptcy.", "currency", True),
        Column("session_tax_rate", "double", "Their rate, of a bankruptcy.", "fraction", True),
        Column("socialized", "double", "Losses that were socialized.", "currency", True),
    ),
    source="public/get_last_settlements_by_currency",
    warnings=(
        "`exercise` occurs, though the documentation knows no such type.",
        "Nobody can count settlements: a day is complete once pages that join have told older "
        "ones. That each perpetual has its own, the check `perpetuals_settle_daily` looks at.",
        "A day before the first settlement that the exchange tells is `not_listed`.",
        "The mark of a bankruptcy tells it apart from others of its millisecond, and says nothing: "
        "it is made of the row's own amounts, so that one whose amounts the exchange changes is "
        "another row.",
        "Whose total `session_profit_loss` is, and in what, no response shows: two options that "
        "were recorded have the same (assumption:settlements-total).",
        "`funding` is null in every recorded row, also of perpetuals: see `funding_rates`.",
    ),
)

DELIVERY_PRICES = Table(
    name="delivery_prices",
    description="One row for each day of an index: what contracts that expire on it settle at.",
    key=("index_name", "delivery_date"),
    columns=(
        _INDEX_NAME,
        Column("delivery_date", "date", "The day of delivery, at 08:00.", "UTC"),
        Column("delivery_price", "double", "The price.", "quote currency"),
    ),
    source="public/get_delivery_prices",
    warnings=(
        "Each day since the first price is expected to have one: of an index on which nothing "
        "expires daily, the days between are gaps.",
    ),
)

HISTORICAL_VOLATILITY = Table(
    name="historical_volatility",
    description="One row for each hour of a currency: the exchange's own realised volatility.",
    key=("currency", "measured_at"),
    columns=(
        _CURRENCY,
        Column("measured_at", "timestamptz", "The full hour of the measurement.", "UTC"),
        Column("volatility", "double", "The volatility.", "percent a year"),
    ),
    source="public/get_historical_volatility",
    warnings=(
        "Cannot be asked for again: the exchange tells the last 16 days only "
        "(assumption:volatility-hours). What was not polled in time is lost; its day is `gapped`, "
        "and its verdict `no longer told`.",
        "An hour is stored once it is over: whether it is the hour before or after `measured_at`, "
        "and whether the running one changes, is not known (assumption:volatility-hour).",
    ),
)

INDEX_PRICES = Table(
    name="index_prices",
    description="One row for each point of an index's chart.",
    key=("index_name", "priced_at"),
    columns=(
        _INDEX_NAME,
        Column("priced_at", "timestamptz", "The moment of the point.", "UTC"),
        Column("price", "double", "The average of the index about then.", "quote currency"),
    ),
    source="public/get_index_chart_data",
    warnings=(
        "Cannot be asked for again: these are the points of the chart of two days. What was not "
        "polled in time is lost; its day is `gapped`, and its verdict `no longer told`.",
        "Two days are the finest chart that has the whole of yesterday whenever it is asked for. "
        "That of an hour has points every six seconds, which are not kept.",
        "How far apart points are is what the chart shows. Whether a point averages the span "
        "before it or after it is not known (assumption:volatility-hour): one is stored once "
        "either is over.",
    ),
)

TABLES = (
    INSTRUMENTS,
    INSTRUMENT_LISTS,
    FUNDING_RATES,
    VOLATILITY_INDEX,
    TRADES,
    CANDLES_REBUILT,
    SETTLEMENTS,
    DELIVERY_PRICES,
    HISTORICAL_VOLATILITY,
    INDEX_PRICES,
)
VIEWS: tuple[View, ...] = ()
