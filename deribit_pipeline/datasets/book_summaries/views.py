"""The macros and views on book summaries, each after those that it uses."""

from deribit_pipeline.datasets.book_summaries import black76, implied_volatility

VIEWS = (
    black76.MILLS_RATIO,
    black76.NORMAL_DENSITY,
    black76.NORMAL_CDF,
    black76.BLACK76,
    implied_volatility.IMPLIED_VOLATILITY,
)
