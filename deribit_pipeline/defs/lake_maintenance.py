"""The job `maintain_warehouse` and its schedule, for a lake."""

from collections.abc import Mapping

import dagster as dg

from deribit_pipeline.defs.schedules import CRONS, default_status
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.lake.maintenance import maintain
from deribit_pipeline.opening import warehouse_of
from deribit_pipeline.settings import Settings

_NAME = "maintain_warehouse"


def maintenance_schedule(
    settings: Settings, crons: Mapping[str, str] = CRONS
) -> dg.ScheduleDefinition:
    """The schedule of a lake's maintenance, with its job."""

    @dg.op(description="Merges small files, expires old snapshots and cleans up.")
    def merge_and_expire(context: dg.OpExecutionContext) -> None:
        try:
            maintained = maintain(warehouse_of(settings))
        except WarehouseError as error:
            raise dg.Failure(str(error)) from error
        context.add_output_metadata(
            {
                "files_before": sum(each.before.files for each in maintained),
                "files_after": sum(each.after.files for each in maintained),
                "bytes_before": sum(each.before.size for each in maintained),
                "bytes_after": sum(each.after.size for each in maintained),
            }
        )

    @dg.job(name=_NAME, executor_def=dg.in_process_executor)
    def maintain_warehouse() -> None:
        merge_and_expire()

    return dg.ScheduleDefinition(
        name=_NAME,
        job=maintain_warehouse,
        cron_schedule=crons[_NAME],
        execution_timezone="UTC",
        default_status=default_status(is_on=settings.schedules),
        description="Keeps the lake fast and small: merges small files, expires old snapshots "
        "and removes what no snapshot needs.",
    )
