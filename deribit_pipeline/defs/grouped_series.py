"""Which series each asset has: of every dataset, those of each group of instruments."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from deribit_pipeline.datasets.registry import series_of
from deribit_pipeline.defs.partitions import SeriesDays, series_days
from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.engine.group_members import PLAIN, Members, group_of, members_of
from deribit_pipeline.engine.reach import currencies_of, within_reach
from deribit_pipeline.engine.universe import with_universe
from deribit_pipeline.errors import WarehouseError
from deribit_pipeline.selection import Choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GroupedSeries:
    """The series of an asset, and the first day of its partitions."""

    dataset: Dataset
    group: str
    series: tuple[str, ...]
    since: date

    @property
    def grid(self) -> SeriesDays:
        """The partitions."""
        return series_days(self.dataset.series, self.series, self.since)


def resolved(settings: Settings, warehouse: Warehouse) -> tuple[Settings, Members]:
    """The settings with the instruments that selectors select, and the members of their groups.

    If the warehouse cannot be read, these are the named instruments only, with a warning.
    """
    try:
        members = members_of(settings, warehouse)
    except WarehouseError as error:
        logger.warning("Selectors select nothing, as the warehouse cannot be read: %s", error)
        named = [replace(each, choice=Choice(each.choice.names)) for each in settings.groups]
        settings = replace(settings, selectors=(), groups=tuple(named))
        members = members_of(settings, warehouse)
    for group in settings.groups:
        if group.name not in members.values():
            logger.warning(
                "The group %s of DERIBIT_GROUPS has no assets, because %s selects no instrument "
                "that is in no other group: materialize the asset instruments and reload the code "
                "location, or change the group",
                group.name,
                ", ".join(map(str, group.choice.selectors)) or "it",
            )
    return with_universe(settings, warehouse), members


def groups_of(settings: Settings, members: Members) -> dict[str, str]:
    """The group of every instrument, for settings that are `resolved`."""
    return {name: members.get(name, PLAIN) for name in settings.instruments}


def grouped_series(settings: Settings, members: Members) -> Iterator[GroupedSeries]:
    """The series of every asset, for settings that are `resolved`. A group has no asset of datasets
    that none of its instruments has."""
    plain = settings.partitions_since
    since = {PLAIN: plain} | {each.name: each.since or plain for each in settings.groups}
    for dataset in within_reach(settings):
        series = currencies_of(dataset, settings) or series_of(dataset, settings.instruments)
        groups = since if dataset.series is SeriesKind.INSTRUMENT else {PLAIN: plain}
        for group, first in groups.items():
            of_group = tuple(name for name in series if group_of(dataset, name, members) == group)
            if of_group or group == PLAIN:
                yield GroupedSeries(dataset, group, of_group, first)
