"""Which group an instrument belongs to, and so in which of Dagster's assets its days are shown."""

from collections.abc import Iterable, Mapping

from deribit_pipeline.domain.dataset import Dataset, SeriesKind
from deribit_pipeline.engine.universe import EVER, chosen_names
from deribit_pipeline.selection import Choice
from deribit_pipeline.settings import Settings
from deribit_pipeline.warehouse.warehouse import Warehouse

PLAIN = ""
"""The group of DERIBIT_INSTRUMENTS, and of all instruments that are in no other: its assets have
the plain names."""

Members = Mapping[str, str]
"""The group of each instrument that is in one of DERIBIT_GROUPS."""


def group_of(dataset: Dataset, series: str, members: Members) -> str:
    """The group of a series; series that are not instruments belong to the plain assets."""
    return members.get(series, PLAIN) if dataset.series is SeriesKind.INSTRUMENT else PLAIN


def by_group(dataset: Dataset, series: Iterable[str], members: Members) -> dict[str, list[str]]:
    """The series by group, in the given order."""
    found: dict[str, list[str]] = {}
    for name in series:
        found.setdefault(group_of(dataset, name, members), []).append(name)
    return found


def members_of(settings: Settings, warehouse: Warehouse) -> Members:
    """The members of all groups, for settings whose selectors are not resolved yet.

    A name takes precedence over all selectors, and a selector over later ones; those of
    DERIBIT_INSTRUMENTS come first. A selector selects what was ever listed, so that an instrument
    stays in its group when it expires. Raises WarehouseError if the listings cannot be
    read; without selectors, nothing is read.
    """
    of_groups = {each.name: each.choice for each in settings.groups}
    named = {name: group for group, choice in of_groups.items() for name in choice.names}
    selectors = [selector for choice in of_groups.values() for selector in choice.selectors]
    if not selectors:
        return named
    others = tuple(each for each in settings.selectors if each not in selectors)
    found = dict.fromkeys((name for name in settings.instruments if name not in named), PLAIN)
    found |= named
    with warehouse.reading(as_it_is=True) as connection:
        for group, choice in ({PLAIN: Choice(selectors=others)} | of_groups).items():
            for name in chosen_names(connection, choice, EVER):
                found.setdefault(name, group)
    return {name: group for name, group in found.items() if group != PLAIN}
