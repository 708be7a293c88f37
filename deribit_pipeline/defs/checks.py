"""The asset checks: every rule of the warehouse, with the rows that break it.

They run with each run of their asset, over all of its stored rows. For two million one-minute
candles all rules together take a third of a second, and Dagster as long again to record the
results. Runs of the command line skip them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

import dagster as dg

from deribit_pipeline.datasets.rules import rules_of
from deribit_pipeline.defs.asset_names import asset_key
from deribit_pipeline.defs.descriptions import plain
from deribit_pipeline.defs.schedules import is_kept
from deribit_pipeline.domain.dataset import Dataset
from deribit_pipeline.domain.rule import Rule
from deribit_pipeline.engine.breaches import Breaches, breaches
from deribit_pipeline.engine.group_members import PLAIN, Members
from deribit_pipeline.engine.proof_reads import days_held
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.warehouse.warehouse import Warehouse

Clock = Callable[[], datetime]

# The result for an older file, which does not have the dataset's tables.
_NOTHING = Breaches((), [], 0)


def dataset_checks(
    dataset: Dataset,
    warehouse: Warehouse,
    series: Sequence[str],
    clock: Clock = lambda: datetime.now(UTC),
    *,
    is_on: bool = False,
    group: str = PLAIN,
    members: Members = MappingProxyType({}),
) -> dg.AssetChecksDefinition:
    """The checks of one asset, in one step; `series` are those that its schedules keep up to date
    while one of them is running, which they are by default if `is_on`.

    The asset of a group reports what breaks a rule in the days of its own instruments, the plain
    asset in the days of all that are not in `members`.
    """
    asset = asset_key(dataset, group)
    rules = {
        dg.AssetCheckKey(asset, rule.name): _within(rule, group) if members else rule
        for rule in rules_of(dataset)
    }
    grouped = [name for name, its_group in members.items() if group in (PLAIN, its_group)]

    @dg.multi_asset_check(
        name=f"{asset.to_python_identifier()}_checks",
        description="Finds rows, days and gaps that break a rule.",
        specs=[
            dg.AssetCheckSpec(
                rule.name,
                asset=asset,
                description=plain(
                    f"{rule.description} A breach is {_NOUNS[rule.severity]}: {rule.because}."
                ),
            )
            for rule in rules.values()
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        kept = series if is_kept(context.instance, dataset, group, is_on=is_on) else ()
        today = clock().date()
        unreadable = ""
        for key, rule in rules.items():
            if key not in context.selected_asset_check_keys:
                continue
            values = dataset.rule_values(kept, today) | {"members": grouped}
            parameters = rule.parameters(values)
            if not unreadable:
                try:
                    # One by one, so that writers do not wait for all of them. An older file is
                    # read without migrating its schema.
                    warehouse.require_there()
                    with warehouse.reading(as_it_is=True) as connection:
                        held = days_held(connection, dataset)
                        found = _NOTHING
                        if held is not None:
                            found = breaches(connection, rule, parameters)
                except WarehouseError as error:
                    unreadable = str(error)
            if unreadable:
                # An error, whatever the rule's severity: the warehouse could not be read.
                yield dg.AssetCheckResult(
                    passed=False, asset_key=asset, check_name=rule.name, description=unreadable
                )
                continue
            yield dg.AssetCheckResult(
                passed=not found.count,
                asset_key=asset,
                check_name=rule.name,
                severity=dg.AssetCheckSeverity[rule.severity],
                description=_summary(found, held, dataset),
                metadata=_metadata(rule, found, rule.sql(parameters)),
            )

    return checks


def _within(rule: Rule, group: str) -> Rule:
    """The rule for the series of a group, which are `$members`, or for the plain assets, which have
    all series but `$members`."""
    negation = "not " if group == PLAIN else ""
    query = f"""
from ({rule.query.strip()}) as breaches(series)
where {negation}list_contains(cast($members as varchar[]), series)"""
    return replace(rule, query=query)


_NOUNS = {"ERROR": "an error", "WARN": "a warning"}


def _summary(found: Breaches, held: int | None, dataset: Dataset) -> str:
    if not held:
        return f"No days of {dataset.label} are stored."
    if not found.count:
        return f"Holds for all {held:,} stored {dataset.series.label}-days."
    name, *values = found.first[0]
    text = "".join(
        f", {column} {value}"
        for column, value in zip(found.columns[1:], values, strict=True)
        if value
    )
    rows = "1 row breaks" if found.count == 1 else f"{found.count:,} rows break"
    return f"{rows} this rule, first {name}{text}."


def _metadata(rule: Rule, found: Breaches, sql: str) -> dict[str, dg.MetadataValue]:
    shown: dict[str, dg.MetadataValue] = {"rows": dg.MetadataValue.int(found.count)}
    if found.count:
        shown["first_rows"] = _table(found)
    return shown | {"sql": dg.MetadataValue.md(f"```sql\n{sql}\n```")}


def _table(found: Breaches) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        records=[dg.TableRecord(dict(zip(found.columns, row, strict=True))) for row in found.first],
        schema=dg.TableSchema(columns=[dg.TableColumn(name) for name in found.columns]),
    )
