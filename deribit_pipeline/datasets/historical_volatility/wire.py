"""Historical volatility: hours, in percent a year."""

from deribit_pipeline.exchange.entries import Readings, pairs


def historical_volatility(answer: object) -> Readings:
    """The hours of `public/get_historical_volatility`, in percent a year."""
    return pairs("measured_at", "volatility", answer)
