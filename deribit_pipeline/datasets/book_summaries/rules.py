"""The rules for book summaries: each a query for the rows that break it."""

from deribit_pipeline.domain.rule import Rule

_QUOTES = Rule(
    name="bids_are_below_asks",
    description="A bid is below the ask of the same instrument.",
    severity="WARN",
    because="quotes are stored as the exchange publishes them",
    query="""
select currency, snapshot_at, instrument_name, bid_price, ask_price
from book_summaries
where bid_price >= ask_price and not contains(kind, 'combo')
order by currency, snapshot_at, instrument_name""",
)

_FORWARDS = Rule(
    name="one_forward_per_expiry",
    description="All options of an expiry have one underlying price in a snapshot.",
    severity="WARN",
    because="forwards are stored as the exchange publishes them",
    query="""
select currency, snapshot_at, regexp_extract(instrument_name, '^[^-]+-[^-]+') as expiry,
       count(distinct underlying_price) as forwards
from book_summaries
where kind = 'option'
group by all
having forwards > 1
order by currency, snapshot_at, expiry""",
)

RULES = (_QUOTES, _FORWARDS)
