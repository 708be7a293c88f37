"""What Dagster's UI says of an asset, in plain sentences: its lists show Markdown as it is
written."""

from datetime import timedelta

import dagster as dg

from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.tables import Table
from deribit_pipeline.domain.windows import ONE_DAY
from deribit_pipeline.engine.group_members import PLAIN


def plain(text: str) -> str:
    """A text of the data dictionary without its Markdown."""
    return text.replace("`", "")


def description(dataset: Dataset, group: str = PLAIN) -> str:
    """The description of a dataset's asset for a group. Lists show the beginning of it."""
    origin = "as returned by the exchange"
    if dataset.made_of:
        origin = f"made of the stored {dataset.made_of}"
    if group != PLAIN:
        origin += f", for the instruments of the group {group}"
    parts = (
        f"{dataset.label[:1].upper()}{dataset.label[1:]}, {origin}: one partition for each "
        f"{dataset.series.label} and UTC day.",
        "A partition is materialized once its day is complete, or known to be before or after the "
        "listing. A day that is open or gapped is shown as missing, and its rows are in its "
        f"events. The table {dataset.proved_in.days.name} has the proof of each day.",
        " ".join((dataset.table.description, *dataset.table.warnings)),
        _kept(dataset),
    )
    return plain("\n\n".join(parts))


def table_description(subject: str, table: Table) -> str:
    """The description of an asset that is a whole table; it begins with the subject."""
    return plain("\n\n".join((subject, " ".join((table.description, *table.warnings)))))


def _kept(dataset: Dataset) -> str:
    if not dataset.schedules:
        kept = "Materialized on request only: it has no schedule."
    elif dataset.is_scheduled_by_hand:
        kept = "Its schedule is off until you start it: a day may have a million trades."
    else:
        kept = "Kept up to date by its schedules, if they are running."
    if dataset.is_rolling:
        kept += " The exchange returns only the newest rows: what is not fetched in time is lost."
    return kept


def group_name(dataset: Dataset) -> str:
    """The asset group. Lists sort by text, which puts candles_10m before candles_1m and mixes
    minutes with hours: candles have a group for each unit of their length."""
    if dataset.resolution is None:
        return dataset.group.value
    duration = dataset.resolution.duration
    unit = "minutes" if duration < timedelta(hours=1) else "hours" if duration < ONE_DAY else "days"
    return f"{dataset.group.value}_{unit}"


def column_schema(table: Table) -> dg.TableSchema:
    """The columns of a table, as Dagster shows them for an asset."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, column.type, description=plain(column.comment))
            for column in table.columns
        ]
    )
