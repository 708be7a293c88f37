"""A list of names in a message: the first ones, and how many more there are."""

from collections.abc import Sequence


def first_names(names: Sequence[object], most: int) -> str:
    """The first `most` names, and the count of the others: `A, B and 3 more`. Empty without any."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
