"""Instruments from text: names and selectors, as in the command line and the settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY, INSTRUMENT_NAME, KINDS
from deribit_pipeline.errors import InputError


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects instruments, written as `kind=option currency=BTC expiry=2024-03-29 expired`.

    All terms must match. `currency` is the settlement currency of an instrument, for a spot pair
    the quote currency. Expired instruments are selected only if `is_with_expired` is true.
    """

    kind: str | None = None
    currency: str | None = None
    base: str | None = None
    expiry: date | None = None
    is_perpetual: bool = False
    is_with_expired: bool = False

    @property
    def lists(self) -> tuple[str, ...]:
        """The currencies whose listings may contain a selected instrument, of those known to the
        code."""
        return self.lists_among(CURRENCIES)

    def lists_among(self, known: Sequence[str]) -> tuple[str, ...]:
        """The currencies, of those in `known`, whose listings may contain a selected instrument; a
        spot pair may be in the listing of either of its currencies (assumption:spot-lists)."""
        may_be_spot = self.kind in (None, "spot") and not (self.is_perpetual or self.expiry)
        if self.currency is None:
            return tuple(known)
        return tuple(dict.fromkeys((*known, self.currency))) if may_be_spot else (self.currency,)

    def with_expired(self) -> "Selector":
        """The same selector, including expired instruments."""
        return replace(self, is_with_expired=True)

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in _TERMS}
        terms = [f"{name}={value}" for name, value in given.items() if value is not None]
        words = zip(_WORDS, (self.is_perpetual, self.is_with_expired), strict=True)
        return " ".join([*terms, *(word for word, is_given in words if is_given)])


_TERMS = ("kind", "currency", "base", "expiry")

_WORDS = ("perpetual", "expired")


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice of instruments: by name and by selector."""

    names: tuple[str, ...] = ()
    selectors: tuple[Selector, ...] = ()

    @property
    def lists(self) -> tuple[str, ...]:
        """The currencies whose listings may contain what the selectors choose, of those known to
        the code."""
        return self.lists_among(CURRENCIES)

    def lists_among(self, known: Sequence[str]) -> tuple[str, ...]:
        """The currencies, of those in `known`, whose listings may contain what the selectors
        choose."""
        required = [name for each in self.selectors for name in each.lists_among(known)]
        return tuple(dict.fromkeys((*(name for name in known if name in required), *required)))


def choice(text: str, whose: str) -> Choice:
    """Parse a comma-separated list of names and selectors; duplicates are removed.

    `whose` names the source of the text in errors. Raises InputError.
    """
    parts = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise InputError(f"{whose} names no instrument: write it like BTC-PERPETUAL,ETH-PERPETUAL.")
    selectors = [selector(part, whose) for part in parts if _is_selector(part)]
    names = [part for part in parts if not _is_selector(part)]
    for name in names:
        if not INSTRUMENT_NAME.fullmatch(name):
            raise InputError(
                f"{whose} holds {name!r}, which cannot be an instrument: Deribit's names are "
                "letters, digits, '-' and '_', such as BTC-PERPETUAL, and a selector is like "
                "kind=option currency=BTC."
            )
    return Choice(tuple(names), tuple(dict.fromkeys(selectors)))


def selector(text: str, whose: str) -> Selector:
    """Parse a selector from terms such as `kind=future` and the words `perpetual` and `expired`."""
    given: dict[str, str] = {}
    words: set[str] = set()
    for term in text.split():
        name, has_value, value = term.partition("=")
        if not has_value and term in _WORDS:
            words.add(term)
        elif has_value and value and name in _TERMS and name not in given:
            given[name] = value
        else:
            raise InputError(
                f"{whose} holds the selector {text!r}, in which {term!r} is not understood: it "
                f"consists of {', '.join(f'{each}=…' for each in _TERMS)}, each once, and the words"
                f" {' and '.join(_WORDS)}."
            )
    _require(text, whose, "kind", given.get("kind"), KINDS)
    if "currency" in given and not CURRENCY.fullmatch(given["currency"]):
        raise InputError(
            f"{whose} holds the selector {text!r}: currency must be one of {', '.join(CURRENCIES)},"
            " or another that the exchange lists, in capitals."
        )
    return Selector(
        kind=given.get("kind"),
        currency=given.get("currency"),
        base=given.get("base"),
        expiry=_day(text, whose, given["expiry"]) if "expiry" in given else None,
        is_perpetual="perpetual" in words,
        is_with_expired="expired" in words,
    )


def _is_selector(part: str) -> bool:
    return re.match(r"[a-z]+=", part) is not None or part.split()[0] in _WORDS


def _require(text: str, whose: str, name: str, value: str | None, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise InputError(
            f"{whose} holds the selector {text!r}: {name} must be one of {', '.join(choices)}."
        )


def _day(text: str, whose: str, value: str) -> date:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError(value)
        return date.fromisoformat(value)
    except ValueError as error:
        raise InputError(
            f"{whose} holds the selector {text!r}: expiry must be a day such as 2024-03-29."
        ) from error
