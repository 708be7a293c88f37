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

_OPEN_INTEREST = Rule(
    name="open_interest_agrees_with_settlements",
    description="The position of a settlement is within 10 % of the open interest of the last "
    "snapshot before it and of the first one after it, where both are at most 15 minutes away.",
    severity="WARN",
    because="the exchange published both, in different responses",
    query="""
select settled.instrument_name, settled.settled_at, settled.position,
       former.open_interest as before, later.open_interest as after
from settlements as settled
asof join book_summaries as former
  on settled.currency = former.currency and settled.instrument_name = former.instrument_name
 and settled.settled_at >= former.snapshot_at
asof join book_summaries as later
  on settled.currency = later.currency and settled.instrument_name = later.instrument_name
 and settled.settled_at <= later.snapshot_at
where settled.type = 'settlement'
  and settled.settled_at - former.snapshot_at <= interval 15 minutes
  and later.snapshot_at - settled.settled_at <= interval 15 minutes
  and not settled.position between 0.9 * least(before, after) and 1.1 * greatest(before, after)
order by settled.instrument_name, settled.settled_at""",
)

_TRADES = Rule(
    name="marks_agree_with_trades",
    description="The mark price of an option's trade is within a fifth, and its IV within 50 "
    "percentage points, of the snapshot at most three seconds before it.",
    severity="WARN",
    because="the exchange published both, in different responses",
    query="""
select trade.instrument_name, trade.trade_seq, trade.traded_at, snapshot.snapshot_at,
       trade.mark_price as traded_mark, snapshot.mark_price, trade.iv, snapshot.mark_iv
from trades as trade
asof join book_summaries as snapshot
  on trade.instrument_name = snapshot.instrument_name and trade.traded_at >= snapshot.snapshot_at
where snapshot.kind = 'option' and trade.traded_at - snapshot.snapshot_at <= interval 3 seconds
  and (abs(trade.mark_price - snapshot.mark_price)
       > greatest(0.2 * snapshot.mark_price, 0.001 * snapshot.underlying_price
                  / if(contains(trade.instrument_name, '_'), 1, snapshot.underlying_price))
       or abs(trade.iv - snapshot.mark_iv) > 50)
order by trade.instrument_name, trade.trade_seq""",
)

RULES = (_QUOTES, _FORWARDS, _OPEN_INTEREST, _TRADES)
