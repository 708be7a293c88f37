"""The account's transaction log, trades and settlements; only with an API key."""

from deribit_pipeline.datasets.account import table, views
from deribit_pipeline.domain.bounds import AMOUNT, MARK, MOST_AMOUNT, MOST_PRICE, PRICE, Bounds
from deribit_pipeline.domain.dataset import Dataset, Group, SeriesKind
from deribit_pipeline.domain.schedule import daily
from deribit_pipeline.domain.specification import CURRENCIES

_PROVES = (
    "rows on which two responses agree; needs an API key, for which read access is enough: "
    "`account:read trade:read`"
)

_LOGGED = (
    "amount", "price", "position", "commission", "cashflow", "change", "balance", "equity",
    "interest_pl",
)  # fmt: skip
_SETTLED = ("position", "funding", "profit_loss", "session_profit_loss")

TRANSACTION_LOG = Dataset(
    name="transaction_log",
    label="transaction log",
    rows="entries",
    series=SeriesKind.CURRENCY,
    currencies=CURRENCIES,
    at="logged_at",
    key=("id",),
    table=table.TRANSACTION_LOG,
    views=views.VIEWS,
    bounds={"index_price": PRICE} | dict.fromkeys(_LOGGED, AMOUNT),
    source=f"{__name__}.source:TRANSACTION_LOG_SOURCE",
    proves=_PROVES,
    has_verdicts=True,
    schedules=(daily("00:36"),),
    group=Group.ACCOUNT,
)

USER_TRADES = Dataset(
    name="user_trades",
    label="own trades",
    rows="trades",
    series=SeriesKind.CURRENCY,
    currencies=CURRENCIES,
    at="traded_at",
    key=("trade_id", "order_id"),
    table=table.USER_TRADES,
    bounds={
        "price": Bounds(0.0, MOST_PRICE, is_of_combos_too=False),
        "mark_price": Bounds(0.0, MOST_PRICE, is_least=True, is_of_combos_too=False),
        "index_price": PRICE,
        "amount": Bounds(0.0, MOST_AMOUNT),
        "fee": AMOUNT,
        "profit_loss": AMOUNT,
    },
    source=f"{__name__}.source:USER_TRADES_SOURCE",
    proves=_PROVES,
    schedules=(daily("00:39"),),
    group=Group.ACCOUNT,
)

SETTLEMENT_HISTORY = Dataset(
    name="settlement_history",
    label="own settlements",
    rows="settlements",
    series=SeriesKind.CURRENCY,
    currencies=CURRENCIES,
    at="settled_at",
    key=("settled_at", "instrument_name", "type"),
    table=table.SETTLEMENT_HISTORY,
    bounds={"mark_price": MARK, "index_price": PRICE} | dict.fromkeys(_SETTLED, AMOUNT),
    source=f"{__name__}.source:SETTLEMENT_HISTORY_SOURCE",
    proves=_PROVES,
    schedules=(daily("00:42"),),
    group=Group.ACCOUNT,
)
