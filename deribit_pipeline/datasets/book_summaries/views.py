"""The macros and views on book summaries, each after those that it uses."""

from deribit_pipeline.datasets.book_summaries import (
    black76,
    chains,
    implied_volatility,
    maturities,
    open_interest,
    smiles,
)

VIEWS = (
    black76.MILLS_RATIO,
    black76.NORMAL_DENSITY,
    black76.NORMAL_CDF,
    black76.BLACK76,
    implied_volatility.IMPLIED_VOLATILITY,
    chains.OPTION_QUOTES,
    chains.OPTION_CHAIN,
    smiles.OPTION_SMILE,
    smiles.ATM_VOLATILITIES,
    maturities.ATM_VOLATILITY,
    maturities.VOLATILITY_STRIP,
    open_interest.OPEN_INTEREST,
    open_interest.OPEN_INTEREST_BY_STRIKE,
    open_interest.PUT_CALL_RATIOS,
)
