"""The chart of an index: points, in quote currency."""

from deribit_pipeline.exchange.entries import Readings, pairs


def index_chart(answer: object) -> Readings:
    """The points of `public/get_index_chart_data`, in quote currency."""
    return pairs("priced_at", "price", answer)
