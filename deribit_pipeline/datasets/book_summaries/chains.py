"""Option chains, as macros; conventions and limits: docs/options.md.

The name of an instrument contains its terms, so that no listing is needed: BTC-27DEC24-100000-C,
XRP_USDC-30JUN23-0d625-C.
"""

from deribit_pipeline.domain.specification import INDEX_OF
from deribit_pipeline.domain.tables import View

_YEARS = "(epoch_us(expiry) - epoch_us(snapshot_at)) / (365 * 86400e6)"

NEWEST = """newest as (
    select snapshot_at as newest_at
    from book_summaries
    where book_summaries.currency = currency
      and snapshot_at <= cast(moment as timestamptz) and received_at <= cast(moment as timestamptz)
    order by newest_at desc
    limit 1
)"""
IS_NEWEST = "snapshot_at = (select newest_at from newest)"
"""The newest snapshot that was received by `moment`, as a common table expression, and the
condition of its rows. DuckDB skips what is older for `limit`, and would not for `max`."""

OPTION_QUOTES = View(
    name="option_quotes",
    parameters=("currency",),
    description="One row for each option of each snapshot of a currency, with its terms: "
    "from option_quotes('BTC'). `years` have 365 days and end at the expiry, 08:00 UTC; `to_usd` "
    "converts its prices to USD or quote currency: the forward of inverse options, 1 of linear "
    "ones. USDC has the options of several indices.",
    query=f"""
select *, {_YEARS} as years
from (
    select snapshot_at, received_at, instrument_name, {INDEX_OF} as index_name,
           timezone('UTC', try_strptime(split_part(instrument_name, '-', 2), '%d%b%y')
                           + interval 8 hours) as expiry,
           try_cast(replace(split_part(instrument_name, '-', 3), 'd', '.') as double) as strike,
           case split_part(instrument_name, '-', 4) when 'C' then 'call' when 'P' then 'put' end
               as option_type,
           underlying_price as forward, if(contains(instrument_name, '_'), 1, underlying_price)
               as to_usd,
           bid_price as bid, ask_price as ask, mark_price as mark, mark_iv, open_interest, volume
    from book_summaries
    where book_summaries.currency = currency and kind = 'option'
)""",
)

OPTION_CHAIN = View(
    name="option_chain",
    parameters=("currency", "moment"),
    description="One row for each option of the newest snapshot that was received by a moment: "
    "from option_chain('BTC', now()). `bid`, `ask` and `mark` are as quoted, in coins for inverse "
    "options and in quote currency for linear ones, `bid_usd`, `ask_usd` and `mark_usd` are in USD "
    "or quote currency; volatilities are in percent a year, `bid_iv` and `ask_iv` computed from "
    "bid and ask with implied_volatility, null where there is no quote or it is outside of the "
    "bounds; greeks are those of black76 at `mark_iv`.",
    query=f"""
with {NEWEST}, quotes as (
    select *, bid * to_usd as bid_usd, ask * to_usd as ask_usd, mark * to_usd as mark_usd
    from option_quotes(currency)
    where {IS_NEWEST}
), valued as (
    select *,
           black76(option_type, forward, strike, years, mark_iv / 100) as greeks,
           list_transform([bid_usd, ask_usd], lambda price: 100 * implied_volatility(
               option_type, forward, strike, years, nullif(price, 0)
           )) as quoted_iv
    from quotes
)
select instrument_name, index_name, expiry, strike, option_type, forward, bid, ask, mark,
       bid_usd, ask_usd, mark_usd, mark_iv, quoted_iv[1] as bid_iv, quoted_iv[2] as ask_iv,
       greeks.delta as delta, greeks.gamma as gamma, greeks.vega as vega, greeks.theta as theta,
       greeks.rho as rho, open_interest, volume, snapshot_at, received_at
from valued
order by index_name, expiry, strike, option_type""",
)
