"""What must hold of every dataset but candles: each rule a query for the rows that break it.

A query names its parameters: `$dataset`, `$series` (those that are kept up to date) and `$today`
(the day in UTC).
"""

from deribit_pipeline.datasets.registry import ROW_DATASETS
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.domain.tables import quoted

_SETTLED = Rule(
    name="past_days_are_settled",
    description="No day is open that was over when the exchange was last heard of.",
    severity="ERROR",
    because="the exchange has its rows, and nobody here asked again: `deribit-pipeline repair`",
    query="""
select series, day, state, expected, received, fetched_at
from dataset_days
where dataset = $dataset
  and state = 'open'
  and day + interval 1 day <= (
      select timezone('UTC', max(fetched_at)) from dataset_days where dataset = $dataset
  ) - interval 1 day
order by all""",
)

_GAPS = Rule(
    name="has_no_gaps",
    description="No row is missing.",
    severity="WARN",
    because="it was asked for again in another way, and the exchange lacks it",
    query="""
select series, day, state, dataset_days.missing, string_agg(gap, '; ' order by gap) as gaps,
       min(confirmed) as confirmed, max(confirmed_at) as confirmed_at
from dataset_days
left join dataset_gaps using (dataset, series, day)
where dataset = $dataset
  and dataset_days.missing > 0
group by all
order by series, day""",
)

_FRESH = Rule(
    name="is_fresh",
    description="Of each series that is kept up to date, the newest complete day is the day before "
    "yesterday's or newer. A day on which it is no longer listed counts as complete.",
    severity="WARN",
    because="the exchange may have been away, and history may be all that was wanted",
    query="""
with kept as (
    select unnest(cast($series as varchar[])) as series
), newest as (
    select series, max(day) as day
    from dataset_days
    where dataset = $dataset
      and state in ('complete', 'not_listed')
    group by all
)
select series, day as newest_complete_day, $today - day as days_ago
from kept
left join newest using (series)
where (day is null or day < $today - 2)
  and exists (from dataset_days where dataset = $dataset)
order by series""",
)

_FAILED = Rule(
    name="no_day_has_failed",
    description="Every day that was requested is proved, or could be when it was last requested.",
    severity="WARN",
    because="the exchange may have been away or wrong: `deribit-pipeline repair` requests it again",
    query="""
select series, day, reason, failed_at, run_id
from failed_days
where dataset = $dataset
  and not exists (
      from dataset_days
      where dataset_days.dataset = failed_days.dataset and dataset_days.series = failed_days.series
        and dataset_days.day = failed_days.day and state in ('complete', 'not_listed')
  )
order by all""",
    table="failed_days",
)

_JUDGED = ", ".join(quoted(dataset.name) for dataset in ROW_DATASETS if dataset.has_verdicts)

_VERDICTS = Rule(
    name="has_no_verdicts",
    description="No day has a verdict that warns of its rows. Rows no longer told are gaps; of "
    "what is compared on every day, only a comparison that disagrees counts.",
    severity="WARN",
    because="the exchange returned it so more than once",
    query=f"""
select series, day, verdict, cross_check, fetched_at
from dataset_days
where dataset = $dataset
  and (cross_check = 'disagrees' or (
      verdict not in ('', 'no longer told')
      and dataset not in ({_JUDGED})
  ))
order by series, day""",
    table="failed_days",
)


def rules_of(dataset: Dataset) -> tuple[Rule, ...]:
    """The rules of a dataset."""
    if dataset.resolution is not None:
        return dataset.rules
    return (_SETTLED, _GAPS, _FRESH, _FAILED, _VERDICTS, *dataset.rules)
