"""The tables of the account, which are filled only with an API key."""

from deribit_pipeline.domain.columns import CURRENCY
from deribit_pipeline.domain.tables import Column, Table

_TOLD = Column("told", "json", "The whole entry as returned by the exchange, with sorted names.")
_PRIVATE = "`told` contains private data such as user name and IP address."


def _number(name: str, description: str, unit: str) -> Column:
    return Column(name, "double", description, unit, is_nullable=True)


def _text(name: str, description: str) -> Column:
    return Column(name, "varchar", description, is_nullable=True)


TRANSACTION_LOG = Table(
    name="transaction_log",
    description="One row for each entry of the account's transaction log.",
    key=("currency", "id"),
    columns=(
        CURRENCY,
        Column("id", "bigint", "The exchange's id of the entry."),
        Column("logged_at", "timestamptz", "The time of the entry.", "UTC"),
        Column("user_seq", "bigint", "The number of the entry within its user."),
        Column("type", "varchar", "trade, settlement, delivery, deposit, withdrawal, transfer, …"),
        _text("instrument_name", "The instrument's name on Deribit."),
        _text("side", "open buy, close sell, long, short, …; - if there is none."),
        _number("amount", "The size of the order.", "as amounts of trades"),
        _number("price", "The price, also that of a settlement.", "quote currency"),
        _number("index_price", "The index then.", "currency of the index"),
        _number("position", "The position after it.", "as amounts of trades"),
        _number("commission", "Commission paid so far.", "currency"),
        _number("cashflow", "Profit realised in the session, or an option's premium.", "currency"),
        _number("change", "Change of the balance, fees included.", "currency"),
        _number("balance", "The balance after it.", "currency"),
        _number("equity", "The equity after it.", "currency"),
        _number("interest_pl", "The part of `change` that is funding.", "currency"),
        _text("trade_id", "The trade's id."),
        _text("order_id", "The order's id."),
        _TOLD,
    ),
    source="private/get_transaction_log",
    warnings=(
        "Profit is the sum of `change`: `cashflow` excludes fees and includes amounts that are "
        "settled later, and `commission` is a running total.",
        "`user_seq` counts the entries of all currencies together.",
        _PRIVATE,
    ),
)

USER_TRADES = Table(
    name="user_trades",
    description="One row for each trade of the account, two where it traded with itself.",
    key=("currency", "trade_id", "order_id"),
    columns=(
        CURRENCY,
        Column("trade_id", "varchar", "The exchange's id of the trade."),
        Column("order_id", "varchar", "The id of the account's order."),
        Column("traded_at", "timestamptz", "When it was traded.", "UTC"),
        Column("instrument_name", "varchar", "The instrument's name on Deribit."),
        Column("trade_seq", "bigint", "The number of the trade within its instrument."),
        Column("direction", "varchar", "buy or sell."),
        Column("price", "double", "The price.", "quote currency"),
        Column("amount", "double", "The amount.", "as amounts of trades"),
        _number("fee", "The fee.", "fee_currency"),
        _text("fee_currency", "The currency of the fee."),
        _text("liquidity", "M if the order was the maker, T if it was the taker."),
        _number("profit_loss", "Profit and loss.", "currency"),
        _number("index_price", "The index then.", "currency of the index"),
        _number("mark_price", "The mark price then.", "quote currency"),
        _number("iv", "An option's implied volatility.", "percent a year"),
        _TOLD,
    ),
    source="private/get_user_trades_by_currency_and_time",
    warnings=(
        "The state of the order in `told` is that of the day's last fetch.",
        _PRIVATE,
    ),
)

SETTLEMENT_HISTORY = Table(
    name="settlement_history",
    description="One row for each settlement of a position of the account.",
    key=("currency", "settled_at", "instrument_name", "type"),
    columns=(
        CURRENCY,
        Column("settled_at", "timestamptz", "When it settled.", "UTC"),
        Column(
            "instrument_name",
            "varchar",
            "The instrument's name on Deribit; a mark such as #5e0c91b7 for a bankruptcy.",
        ),
        Column("type", "varchar", "settlement, delivery, exercise or bankruptcy."),
        _number("position", "The position.", "as amounts of trades"),
        _number("mark_price", "The mark price.", "quote currency"),
        _number("index_price", "The index.", "currency of the index"),
        _number("funding", "Funding of the session.", "currency"),
        _number("profit_loss", "Profit and loss.", "currency"),
        _number("session_profit_loss", "A total of the session.", ""),
        _TOLD,
    ),
    source="private/get_settlement_history_by_currency",
    warnings=(
        "The mark of a bankruptcy distinguishes it from others of its millisecond, and has no "
        "other meaning: it is derived from the entry's amounts, so that a bankruptcy whose amounts "
        "the exchange changes is another row.",
    ),
)
