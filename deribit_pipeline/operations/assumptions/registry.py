"""Every assumption once, in the order of topics, and the page that names them all."""

from deribit_pipeline.operations.assumptions.assumption import Assumption
from deribit_pipeline.operations.assumptions.candles import CANDLES
from deribit_pipeline.operations.assumptions.charts import CHARTS
from deribit_pipeline.operations.assumptions.listings import LISTINGS
from deribit_pipeline.operations.assumptions.pages import PAGES
from deribit_pipeline.operations.assumptions.protocol import PROTOCOL
from deribit_pipeline.operations.assumptions.trade_candles import TRADE_CANDLES
from deribit_pipeline.operations.assumptions.trades import TRADES
from deribit_pipeline.operations.assumptions.windowed import WINDOWED

TOPICS = {
    "The protocol": PROTOCOL,
    "Listings and fields": LISTINGS,
    "Candles": CHARTS + CANDLES,
    "Funding and the volatility index": WINDOWED,
    "Trades": TRADES + TRADE_CANDLES,
    "Settlements, delivery prices, historical volatility": PAGES,
}

ASSUMPTIONS: tuple[Assumption, ...] = tuple(
    assumption for topic in TOPICS.values() for assumption in topic
)


def markdown() -> str:
    """The page `docs/assumptions.md`."""
    lines = [
        "# Assumptions",
        "",
        "What the code assumes of the exchange, generated from "
        "`deribit_pipeline/operations/assumptions` by `make docs`. Code and documents refer to an "
        "assumption by its id, as in `assumption:candles-most`. `deribit-pipeline check "
        "--assumptions` tests them against the configured exchange and reports for each whether it "
        "holds.",
    ]
    for topic, assumptions in TOPICS.items():
        lines += ["", f"## {topic}", ""]
        lines += ["| id | the code assumes | how well known | if it differs |", "|---|---|---|---|"]
        lines += [
            f"| `{one.id}` | {one.statement}{_not_tested(one)} | {_known(one)} | {one.follows} |"
            for one in assumptions
        ]
    return "\n".join(lines) + "\n"


def _known(assumption: Assumption) -> str:
    source = f": {assumption.source}" if assumption.source else ""
    return f"{assumption.known}{source}"


def _not_tested(assumption: Assumption) -> str:
    return f" Not tested: {assumption.untested}." if assumption.untested else ""


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the command of `make docs`
