"""Profit and loss of the account, from complete days of its log."""

from deribit_pipeline.domain.tables import View

DAILY_PNL = View(
    name="daily_pnl",
    description="One row for each currency, complete UTC day and type of entry of the account's "
    "log: the change of the balance, including fees and funding. Profit is the sum without "
    "deposits, withdrawals, transfers and the like. A complete day without entries has no row; "
    "dataset_days distinguishes it from a day that is not stored.",
    query="""
select log.currency,
       proof.day,
       log.type,
       count(*) as entries,
       sum(log.change) as change,
       coalesce(sum(log.interest_pl), 0) as funding
from transaction_log as log
join dataset_days as proof
  on proof.dataset = 'transaction_log'
 and proof.series = log.currency
 and proof.day = cast(timezone('UTC', log.logged_at) as date)
where proof.state = 'complete'
group by all""",
)

VIEWS = (DAILY_PNL,)
