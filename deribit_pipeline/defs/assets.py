"""The assets of every dataset, `candles_1m` to `candles_1d` and the others, from one definition."""

import collections
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

import dagster as dg

from deribit_pipeline.defs.asset_names import asset_group, asset_key, upstream_key
from deribit_pipeline.defs.assigned_once import assign
from deribit_pipeline.defs.day_events import no_longer_complete, record_days, run_totals
from deribit_pipeline.defs.descriptions import column_schema, description
from deribit_pipeline.defs.partition_events import already_recorded
from deribit_pipeline.defs.partitions import days_by_series, partition_key
from deribit_pipeline.defs.run_tags import run_tags
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.domain.windows import ONE_DAY
from deribit_pipeline.engine.group_members import PLAIN
from deribit_pipeline.engine.jobs import Days, Job
from deribit_pipeline.engine.outcome import Outcome
from deribit_pipeline.engine.previews import Curves, Preview, Previews
from deribit_pipeline.errors import DeribitPipelineError, WarehouseError
from deribit_pipeline.pages.curves_picture import curves_url
from deribit_pipeline.pages.run_picture import Picture, data_url

# How many days a message names; the rest are counted.
_NAMED = 10


class Backfills(Protocol):
    """The interface of the resource `deribit`: backfill the days of a job, and preview the
    result."""

    def backfill(self, dataset: Dataset, job: Job, *, force: bool) -> Outcome: ...

    def previews(self, dataset: Dataset, days: Days, outcome: Outcome) -> Previews: ...


class BackfillConfig(dg.Config):
    """Run configuration: `force` requests days again that are already proved complete."""

    force: bool = False


def dataset_asset(
    dataset: Dataset, partitions_def: dg.MultiPartitionsDefinition, group: str = PLAIN
) -> dg.AssetsDefinition:
    """The asset of one dataset for the instruments of a group, which materializes any range of its
    partitions in a single run."""

    resolution = dataset.resolution
    table = dataset.table

    @dg.asset(
        key=asset_key(dataset, group),
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[upstream_key(dataset, group)],
        group_name=asset_group(dataset, group),
        kinds={"deribit", "duckdb"},
        owners=["team:market-data"],
        tags={"dataset": dataset.table.name}
        | ({"resolution": resolution.value} if resolution else {})
        | ({"instrument_group": group} if group else {}),
        description=description(dataset, group),
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
        },
    )
    def days(
        context: dg.AssetExecutionContext,
        config: BackfillConfig,
        deribit: dg.ResourceParam[Backfills],
    ) -> dg.MaterializeResult[None]:
        job = Job(context.run.run_id, days_by_series(requested_keys(context)))
        context.instance.add_run_tags(job.run_id, run_tags(dataset, job.days, group))
        try:
            assign(context.instance, dataset, job.days, group)
            outcome = deribit.backfill(dataset, job, force=config.force)
        except DeribitPipelineError as error:
            raise dg.Failure(str(error)) from error
        try:
            picture = _picture(deribit.previews(dataset, job.days, outcome))
        except WarehouseError as error:
            context.log.warning(
                f"The run has no picture; its days are stored all the same: {error}"
            )
            picture = {}
        regressed = no_longer_complete(context, outcome)
        record_days(context, dataset, outcome, picture)
        if outcome.failures:
            raise dg.Failure(_failure(outcome), metadata=run_totals(outcome) | picture)
        if regressed:
            raise dg.Failure(
                f"{len(regressed)} days are gapped that an earlier run recorded as complete: "
                f"{first_names(sorted(regressed), _NAMED)}. Their gaps are in the table "
                f"{dataset.proved_in.gaps.table.name}.",
                allow_retries=False,
            )
        return already_recorded()

    return days


def requested_keys(context: dg.AssetExecutionContext) -> Sequence[str]:
    """The partition keys that the run must materialize.

    Raises Failure for runs that would skip partitions and report success: a backfill launched from
    a job has the tags of its range but a single key (dagster-io/dagster#28861), and a reversed
    range has none.
    """
    tags = context.run.tags
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    start, end = (tags.get(name) for name in names)
    keys = list(context.partition_keys)  # lists the range at each call
    if not keys:
        raise dg.Failure(
            f"There is no partition between {start} and {end}: the range may be reversed.",
            allow_retries=False,
        )
    seen = context.partition_key_range
    if start and end and (seen.start, seen.end) != (start, end):
        raise dg.Failure(
            f"The run is for {start} to {end}, and Dagster would make {seen.start} to {seen.end} "
            "only (dagster-io/dagster#28861): launch the backfill from the asset's page, not from "
            "a job's.",
            allow_retries=False,
        )
    return keys


def _failure(outcome: Outcome) -> str:
    failed = [partition_key(*key) for key in sorted(outcome.failures)]
    reasons = collections.Counter(outcome.failures.values())
    return (
        f"{len(failed)} of {outcome.requested} days are not proved: {first_names(failed, _NAMED)}. "
        f"The others are proved. The most frequent reason: {reasons.most_common(1)[0][0]}"
    )


def _picture(previews: Previews) -> dict[str, dg.MetadataValue[Any]]:
    """What the run stored as a picture in the UI; empty if there is nothing to draw."""
    if not previews:
        return {}
    curves = [preview for preview in previews if isinstance(preview, Curves)]
    pictures = [
        Picture(
            f"{preview.series}, {preview.window.start:%Y-%m-%d} to "
            f"{preview.window.end - ONE_DAY:%Y-%m-%d} UTC, 1 candle = {_length(preview.step)}",
            preview.window,
            preview.step,
            preview.candles,
            preview.states,
        )
        for preview in previews
        if isinstance(preview, Preview)
    ]
    titles = "; ".join([each.title for each in pictures] + [each.title for each in curves])
    url = data_url(pictures) if pictures else curves_url(curves)
    return {"picture": dg.MetadataValue.md(f"![{titles}]({url})")}


def _length(step: timedelta) -> str:
    if step < timedelta(hours=1):
        return f"{step / timedelta(minutes=1):g} min"
    return f"{step / timedelta(hours=1):g} h" if step < ONE_DAY else f"{step / ONE_DAY:g} d"
