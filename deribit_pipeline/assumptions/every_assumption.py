"""The list of all assumptions by topic, and the page that documents them."""

from deribit_pipeline.assumptions.assumption import Assumption
from deribit_pipeline.assumptions.candle_values import CANDLES
from deribit_pipeline.assumptions.chart_responses import CHARTS
from deribit_pipeline.assumptions.listed import LISTINGS
from deribit_pipeline.assumptions.paged import PAGES
from deribit_pipeline.assumptions.protocol import PROTOCOL
from deribit_pipeline.assumptions.subscriptions import SUBSCRIPTIONS
from deribit_pipeline.assumptions.summaries import SUMMARIES
from deribit_pipeline.assumptions.trade_candles import TRADE_CANDLES
from deribit_pipeline.assumptions.trade_responses import TRADES
from deribit_pipeline.assumptions.windowed_rows import WINDOWED

TOPICS = {
    "The protocol": PROTOCOL,
    "Listings and fields": LISTINGS,
    "Candles": CHARTS + CANDLES,
    "Funding and the volatility index": WINDOWED,
    "Trades": TRADES + TRADE_CANDLES,
    "Book summaries": SUMMARIES,
    "The WebSocket": SUBSCRIPTIONS,
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
        "`deribit_pipeline/assumptions` by `make docs`. Code and documents refer to an "
        "assumption by its id, as in `assumption:candles-most`. `deribit-pipeline check` can test "
        "them against the configured exchange, and reports for each whether it holds.",
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
