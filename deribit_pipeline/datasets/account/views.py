"""What one's own account earned and paid, from complete days of its log."""

from deribit_pipeline.domain.tables import View

DAILY_PNL = View(
    name="daily_pnl",
    description="One row for each currency, complete UTC day and type of entry of the account's "
    "log: by how much the balance changed, fees and funding included. Profit is what is left "
    "without deposits, withdrawals, transfers and the like. A day on which nothing happened has no "
    "row; dataset_days tells it from one that is not held.",
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
