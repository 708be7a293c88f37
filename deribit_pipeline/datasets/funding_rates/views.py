"""Annualised funding rates, and the funding paid by a position.

Deribit's documentation: with a positive rate long positions pay short ones, and the payment is the
rate times the value of the position. An inverse position of N USD is worth N / index in base
currency, a linear one of N base currency is worth N times the index in quote currency. The index is
that at the beginning of the hour: only with that one do eight hours of `interest_1h` give the
recorded `interest_8h` of an inverse perpetual, within 2e-8. That linear ones use the same index is
likely, but not verified.
"""

from deribit_pipeline.domain.tables import View

FUNDING = View(
    name="funding",
    description="One row for each hour of a perpetual on a complete day, with its annualised rate: "
    "`annualised_simple` without compounding, `annualised_compounded` as if funding were added to "
    "the position each hour; both fractions.",
    query="""
select funding_rates.*,
       interest_1h * 24 * 365 as annualised_simple,
       pow(1 + interest_1h, 24 * 365) - 1 as annualised_compounded
from funding_rates
join dataset_days on dataset_days.series = funding_rates.instrument_name
where dataset_days.dataset = 'funding_rates'
  and dataset_days.day = cast(timezone('UTC', funding_rates.funded_at) as date)
  and dataset_days.state = 'complete'""",
)

PAID = """cast({amount} as double) * interest_1h
           * if(contains({instrument}, '_'), prev_index_price, 1 / prev_index_price)"""
"""The funding that a position of an amount pays for an hour, in SQL."""

_PAID = PAID.format(amount="amount", instrument="instrument_name")

CUMULATIVE_FUNDING = View(
    name="cumulative_funding",
    parameters=("instrument", "since", "until", "amount"),
    description="One row for each hour of a position that was opened at `since` and closed at "
    "`until`, both full hours, with the funding paid in the hour and so far: negative if it was "
    "received. `amount` has the unit of trades, USD for an inverse perpetual and base currency for "
    "a linear one, and is negative for a short position; paid amounts are in base currency for the "
    "first and in quote currency for the second. The rate of an hour that is not stored is null; "
    "`hours_lacking` counts those so far, whose funding is not included in any sum: "
    "from cumulative_funding('BTC-PERPETUAL', "
    "'2024-01-01 00:00:00+00', '2024-02-01 00:00:00+00', 10000).",
    query=f"""
with hours as (
    select to_timestamp(hour * 3600) as funded_at
    from (
        select unnest(range(
            epoch_ms(cast(since as timestamptz)) // 3600000 + 1,
            epoch_ms(cast(until as timestamptz)) // 3600000 + 1
        )) as hour
    )
), rates as (
    select funded_at, interest_1h,
           {_PAID} as paid
    from funding_rates
    where instrument_name = instrument
      and funded_at > cast(since as timestamptz)
      and funded_at <= cast(until as timestamptz)
)
select funded_at, interest_1h, paid,
       coalesce(sum(paid) over so_far, 0) as paid_so_far,
       count(*) filter (paid is null) over so_far as hours_lacking
from hours
left join rates using (funded_at)
window so_far as (order by funded_at)
order by funded_at""",
)

VIEWS = (FUNDING, CUMULATIVE_FUNDING)
