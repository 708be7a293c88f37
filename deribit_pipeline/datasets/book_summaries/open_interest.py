"""Open interest: what is stored of it, and what a snapshot has by strike and expiry."""

from deribit_pipeline.datasets.book_summaries.chains import IS_NEWEST, NEWEST
from deribit_pipeline.domain.tables import View

OPEN_INTEREST = View(
    name="open_interest",
    description="One row for each instrument and instant of which the open interest is stored: of "
    "futures and perpetuals daily since their first settlement (`source` is settlement, at 08:00 "
    "UTC), of all instruments at each recorded snapshot (`source` is snapshot). The unit is that "
    "of trades' amounts: USD of inverse futures, coins of all others.",
    query="""
select currency, instrument_name, 'future' as kind, settled_at as observed_at,
       position as open_interest, 'settlement' as source
from settlements
where type = 'settlement' and position is not null
union all
select currency, instrument_name, kind, snapshot_at, open_interest, 'snapshot'
from book_summaries
where open_interest is not null""",
)

_SUMS = """sum(open_interest) filter (option_type = 'call') as call_open_interest,
       sum(open_interest) filter (option_type = 'put') as put_open_interest"""

OPEN_INTEREST_BY_STRIKE = View(
    name="open_interest_by_strike",
    parameters=("currency", "moment"),
    description="One row for each strike and expiry of the newest snapshot that was received by a "
    "moment: the open interest of calls and puts, in coins: "
    "from open_interest_by_strike('BTC', now()).",
    query=f"""
with {NEWEST}
select index_name, expiry, strike,
       {_SUMS}, snapshot_at, received_at
from option_quotes(currency)
where {IS_NEWEST}
group by index_name, expiry, strike, snapshot_at, received_at
order by index_name, expiry, strike""",
)

PUT_CALL_RATIOS = View(
    name="put_call_ratios",
    parameters=("currency", "moment"),
    description="One row for each expiry of the newest snapshot that was received by a moment, and "
    "one for all of them, whose `expiry` is null: open interest and 24-hour volume of calls and "
    "puts, in coins, and puts divided by calls: from put_call_ratios('BTC', now()).",
    query=f"""
with {NEWEST}
select index_name, expiry,
       {_SUMS},
       put_open_interest / nullif(call_open_interest, 0) as open_interest_ratio,
       sum(volume) filter (option_type = 'call') as call_volume,
       sum(volume) filter (option_type = 'put') as put_volume,
       put_volume / nullif(call_volume, 0) as volume_ratio, snapshot_at, received_at
from option_quotes(currency)
where {IS_NEWEST}
group by grouping sets (
    (index_name, expiry, snapshot_at, received_at), (index_name, snapshot_at, received_at)
)
order by index_name, expiry nulls last""",
)
