"""Groups of instruments with Dagster assets of their own, as DERIBIT_GROUPS names them.

Written as `alts since 2022-01-01: SOL_USDC-PERPETUAL, XRP_USDC-PERPETUAL; tail: kind=spot`: groups
are separated by semicolons, and what follows the colon is written like DERIBIT_INSTRUMENTS.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from deribit_pipeline.datasets.registry import DATASETS
from deribit_pipeline.domain.dataset import Group
from deribit_pipeline.domain.first_names import first_names
from deribit_pipeline.errors import SettingsError
from deribit_pipeline.selection import Choice, choice

VARIABLE = "DERIBIT_GROUPS"

_HEAD = re.compile(r"(?P<name>[a-z][a-z0-9_]{0,39})( +since +(?P<since>\S+))?")

_PATTERN = "alts since 2022-01-01: SOL_USDC-PERPETUAL,XRP_USDC-PERPETUAL; tail: kind=spot"

_NAMED = 5  # instruments of DERIBIT_INSTRUMENTS in a message

# Names of assets and asset groups in Dagster's UI. Names that begin with a group of datasets, as in
# candles_minutes, are taken as well.
_TAKEN = frozenset(
    {*DATASETS, *Group, "instruments", "deribit_api", "default", "exchange", "reference"}
)


@dataclass(frozen=True, slots=True)
class InstrumentGroup:
    """A group: its instruments, and the first day of their partitions, or None for that of
    DERIBIT_PARTITIONS_SINCE. Its name is the prefix of the keys of its assets."""

    name: str
    choice: Choice
    since: date | None = None


def groups(text: str, others: Choice) -> tuple[InstrumentGroup, ...]:
    """Parse DERIBIT_GROUPS; `others` are the instruments of DERIBIT_INSTRUMENTS.

    Raises SettingsError if it is malformed, if a name is taken, or if an instrument or a selector
    is in two groups; InputError for a malformed instrument or selector.
    """
    found = tuple(_group(part.strip()) for part in text.split(";") if part.strip())
    chosen = [others, *(group.choice for group in found)]
    for twice in _twice(group.name for group in found):
        raise SettingsError(f"{VARIABLE} has two groups called {twice}: rename one.")
    for twice in _twice(
        each for some in chosen for each in (*some.names, *map(str, some.selectors))
    ):
        plain = first_names([*others.names, *others.selectors], _NAMED)
        raise SettingsError(
            f"{twice} is in two groups of {VARIABLE}, or in one and in DERIBIT_INSTRUMENTS, which "
            f"is {plain}: leave it in one of them."
        )
    return found


def all_of(choices: Iterable[Choice]) -> Choice:
    """Everything that is chosen."""
    parts = list(choices)
    return Choice(
        tuple(name for each in parts for name in each.names),
        tuple(selector for each in parts for selector in each.selectors),
    )


def first_day(text: str, whose: str) -> date:
    """The first day of partitions, such as 2022-01-01. Raises SettingsError."""
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.max
    if day > today:
        raise SettingsError(f"{whose} must be a day until today, such as {today}, was {text!r}.")
    return day


def _group(text: str) -> InstrumentGroup:
    head, colon, instruments = text.partition(":")
    found = _HEAD.fullmatch(head.strip())
    if not colon or found is None:
        raise SettingsError(
            f"{VARIABLE} holds {text[:80]!r}, which is malformed: write it like {_PATTERN}, with "
            "names of at most 40 lower-case letters, digits and '_' that begin with a letter."
        )
    name, since = found["name"], found["since"]
    if name in _TAKEN or name.startswith(tuple(f"{each}_" for each in Group)):
        raise SettingsError(
            f"{VARIABLE} has a group called {name}, which is the name of an asset or of an asset "
            "group already: choose another name."
        )
    return InstrumentGroup(
        name,
        choice(instruments, f"The group {name} of {VARIABLE}"),
        first_day(since, f"The first day of the group {name} of {VARIABLE}") if since else None,
    )


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]
