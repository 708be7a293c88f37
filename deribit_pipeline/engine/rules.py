"""The rules of every dataset: each a query for what breaks it in the tables of proofs."""

from collections.abc import Collection
from datetime import timedelta

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.domain.verdicts import NOT_AVAILABLE

_NAMED = 24  # gaps in a row
_MINUTE = timedelta(minutes=1)


def shared_rules(dataset: Dataset, together: Collection[Dataset]) -> tuple[Rule, ...]:
    """The rules for the tables of proofs, which apply to every dataset. The newest response for any
    of those `together` decides which days are over."""
    given = (
        ("together", tuple(other.proved_as for other in together)),
        ("settled_after", dataset.settled_after // _MINUTE),
        ("is_judged", dataset.has_verdicts),
    )
    return tuple(
        rule(dataset, given) for rule in (_settled, _gaps, _fresh, _failed, _has_no_verdicts)
    )


_Given = tuple[tuple[str, object], ...]


def _settled(dataset: Dataset, given: _Given) -> Rule:
    tables = dataset.proved_in
    return Rule(
        name="no_past_day_is_open",
        description="No day is open that was over when the exchange last responded.",
        severity="ERROR",
        because=f"the exchange has its {dataset.rows}, and they were not requested again: "
        "`deribit-pipeline repair`",
        given=given,
        query=f"""
select {tables.series}, day, state, expected, received, fetched_at
from {tables.days.name}
where {tables.group} = $name
  and state = 'open'
  and day + interval 1 day + to_minutes($settled_after) <= (
      select timezone('UTC', max(fetched_at)) from {tables.days.name}
      where {tables.group} in $together
  )
order by all""",
    )


def _gaps(dataset: Dataset, given: _Given) -> Rule:
    tables = dataset.proved_in
    return Rule(
        name="has_no_gaps",
        description=f"None of the {dataset.rows} is missing.",
        severity="WARN",
        because="it was requested again in another way, and the exchange does not have it",
        given=given,
        query=f"""
with named as (
    select {tables.series}, {tables.gaps.day} as day,
           list({tables.gap_name} order by {tables.gap_name}) as gaps,
           min(confirmed) as confirmed, max(confirmed_at) as confirmed_at
    from {tables.gaps.table.name}
    where {tables.group} = $name
    group by all
)
select {tables.series}, day, state, missing,
       concat(array_to_string(gaps[:{_NAMED}], '{tables.gap_separator}'),
              if(len(gaps) > {_NAMED}, ' …', '')) as {tables.gap_title},
       confirmed, confirmed_at
from {tables.days.name}
left join named using ({tables.series}, day)
where {tables.group} = $name
  and missing > 0
order by {tables.series}, day""",
    )


def _fresh(dataset: Dataset, given: _Given) -> Rule:
    tables = dataset.proved_in
    return Rule(
        name="is_fresh",
        description=f"Of each {dataset.series.label} that a running schedule keeps up to date, the "
        "newest complete day is the day before yesterday's or newer. A day on which it is no "
        "longer listed counts as complete. Without a running schedule nothing is kept up to date.",
        severity="WARN",
        because="the exchange or this machine may have been unavailable",
        given=given,
        query=f"""
with kept as (
    select unnest(cast($series as varchar[])) as {tables.series}
), newest as (
    select {tables.series}, max(day) as day
    from {tables.days.name}
    where {tables.group} = $name
      and state in ('complete', 'not_listed')
    group by all
)
select {tables.series}, day as newest_complete_day, $today - day as days_ago
from kept
left join newest using ({tables.series})
where (day is null or day < $today - 2)
  and exists (from {tables.days.name} where {tables.group} = $name)
order by {tables.series}""",
    )


def _failed(dataset: Dataset, given: _Given) -> Rule:
    tables = dataset.proved_in
    return Rule(
        name="no_day_has_failed",
        description="Every day that was requested is proved, or could be when it was last "
        "requested.",
        severity="WARN",
        because="the exchange may have been unavailable or wrong: `deribit-pipeline repair` "
        "requests it again",
        table="failed_days",
        given=given,
        query=f"""
select series, day, reason, failed_at, run_id
from failed_days
where dataset = $dataset
  and not exists (
      from {tables.days.name} as proved
      where proved.{tables.group} = $name and proved.{tables.series} = failed_days.series
        and proved.day = failed_days.day and state in ('complete', 'not_listed')
  )
order by all""",
    )


def _has_no_verdicts(dataset: Dataset, given: _Given) -> Rule:
    tables = dataset.proved_in
    return Rule(
        name="no_day_has_a_warning",
        description="No day has a verdict that warns of its rows, such as that its candles "
        "disagree with coarser ones. Rows that are no longer returned are gaps; of what is "
        "compared on every day, only a comparison that disagrees counts.",
        severity="WARN",
        because="the exchange returned the same rows more than once",
        table="failed_days",
        given=given,
        query=f"""
select {tables.series}, day, verdict, cross_check, fetched_at
from {tables.days.name}
where {tables.group} = $name
  and (cross_check = 'disagrees' or (verdict not in ('', '{NOT_AVAILABLE}') and not $is_judged))
order by {tables.series}, day""",
    )
