"""Instruments and days from text: the one parser for command line, settings and reader."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from difflib import SequenceMatcher, get_close_matches
from itertools import pairwise

from deribit_pipeline.domain.specification import CURRENCIES, CURRENCY, INSTRUMENT_NAME, KINDS
from deribit_pipeline.errors import InputError

# The least likeness of two names of which one may be meant for the other, from 0 to 1; and how much
# less alike a second one may be.
_ALIKE, _LESS_ALIKE = 0.6, 0.05

_TERMS = ("kind", "currency", "base", "expiry")
_WORDS = ("perpetual", "expired")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PLURALS = {kind: f"{kind.replace('_', ' ')}s" for kind in KINDS} | {"spot": "spot pairs"}


@dataclass(frozen=True, slots=True)
class Selector:
    """Selects instruments, written as `kind=option currency=BTC expiry=2024-03-29`.

    All terms must match. `currency` is the settlement currency of an instrument, for a spot pair
    the quote currency. In a window of days, instruments that were listed at any time in it are
    selected, whether they have expired since or not. As of one moment, expired instruments are
    selected only if `is_with_expired` is true, written as the word `expired`.
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

    @property
    def described(self) -> str:
        """What it selects, in words and in the plural, such as `BTC options`."""
        kinds = _PLURALS[self.kind] if self.kind else "instruments"
        if self.is_perpetual:
            kinds = f"perpetual {kinds}" if self.kind else "perpetuals"
        words = [self.currency or "", kinds]
        words.append(f"of {self.base}" if self.base else "")
        words.append(f"that expire on {self.expiry}" if self.expiry else "")
        return " ".join(filter(None, words))

    @property
    def terms(self) -> frozenset[str]:
        """The names of its terms and words, without `expired`, which goes with any of them."""
        return frozenset(re.split("=[^ ]*|  *", str(self))) - {"", "expired"}

    def __str__(self) -> str:
        given = {name: getattr(self, name) for name in _TERMS}
        terms = [f"{name}={value}" for name, value in given.items() if value is not None]
        words = zip(_WORDS, (self.is_perpetual, self.is_with_expired), strict=True)
        return " ".join([*terms, *(word for word, is_given in words if is_given)])


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
    _require_alternatives(text, whose, selectors)
    names = [_name(part, whose, selectors) for part in parts if not _is_selector(part)]
    return Choice(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(selectors)))


def choice_of(texts: Iterable[str], whose: str) -> Choice:
    """Several lists of names and selectors as one choice. Raises InputError."""
    choices = [choice(text, whose) for text in texts]
    return Choice(
        tuple(dict.fromkeys(name for each in choices for name in each.names)),
        tuple(dict.fromkeys(found for each in choices for found in each.selectors)),
    )


def selector(text: str, whose: str) -> Selector:
    """Parse a selector from terms such as `kind=future` and the words `perpetual` and `expired`, in
    capitals or not."""
    given: dict[str, str] = {}
    words: set[str] = set()
    for term in re.sub(r"\s*=\s*", "=", text).split():
        name, has_value, value = term.partition("=")
        name = name.lower()
        if not has_value and name in _WORDS:
            words.add(name)
        elif has_value and value and name in _TERMS and name not in given:
            given[name] = value
        else:
            raise InputError(
                f"{whose} holds the selector {text!r}, in which {term!r} is not understood: it "
                f"consists of {', '.join(f'{each}=…' for each in _TERMS)}, each once, and the words"
                f" {' and '.join(_WORDS)}."
            )
    currency, base = (given.get(name, "").upper() or None for name in ("currency", "base"))
    if currency is not None and not CURRENCY.fullmatch(currency):
        raise InputError(
            f"{whose} holds the selector {text!r}: currency must be one of {', '.join(CURRENCIES)},"
            " or another that the exchange lists."
        )
    return Selector(
        kind=_kind(text, whose, given["kind"]) if "kind" in given else None,
        currency=currency,
        base=base,
        expiry=_expiry(text, whose, given["expiry"]) if "expiry" in given else None,
        is_perpetual="perpetual" in words,
        is_with_expired="expired" in words,
    )


def instrument_name(text: str) -> str:
    """The name in Deribit's spelling: capitals, with a `d` for the decimal point of a strike."""
    return re.sub(r"(?<=\d)D(?=\d)", "d", text.upper())


def series_name(text: str) -> str:
    """A currency or an index in Deribit's spelling: BTC, btc_usd."""
    return text.lower() if "_" in text else text.upper()


def day(text: str, what: str, today: date) -> date:
    """A UTC day: 2024-01-31, today, yesterday, or -7d for seven days before today.

    `what` names the text in errors. Raises InputError.
    """
    before = re.fullmatch(r"-(\d{1,5})d", text.lower())
    before_today = {"today": 0, "yesterday": 1}.get(text.lower(), int(before[1]) if before else -1)
    try:
        if before_today >= 0:
            return today - timedelta(days=before_today)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{what} must be a day such as 2024-01-31, today, yesterday or -7d (seven days ago), "
            f"was {text!r}."
        ) from error


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """The names that resemble `name` most, in capitals or not, the nearest first; at most three,
    and none that is much less alike than the first."""
    spelled = {each.upper(): each for each in names}
    found = get_close_matches(name.upper(), list(spelled), 3, _ALIKE)
    if found:
        likeness = SequenceMatcher(None, found[0], name.upper()).ratio()
        found = get_close_matches(name.upper(), found, 3, likeness - _LESS_ALIKE)
    return [spelled[each] for each in found]


def or_near(name: str, names: Iterable[str]) -> str:
    """A question for the end of a message about an unknown name; empty if no name resembles it."""
    found = nearest(name, names)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def _is_selector(part: str) -> bool:
    return re.match(r"[A-Za-z]+ ?=|\w+ +\w+ *=", part) is not None or _first(part) in _WORDS


def _first(part: str) -> str:
    return part.split()[0].lower()


def _name(part: str, whose: str, selectors: Sequence[Selector]) -> str:
    if not INSTRUMENT_NAME.fullmatch(part):
        raise InputError(
            f"{whose} holds {part!r}, which cannot be an instrument: Deribit's names are letters, "
            "digits, '-' and '_', such as BTC-PERPETUAL, and a selector is like kind=option "
            "currency=BTC. Names and selectors are separated by commas."
        )
    term = "kind" if part.lower() in KINDS else "currency" if part.upper() in CURRENCIES else ""
    if selectors and term:
        last = f"{term}={getattr(selectors[-1], term) or '…'}"
        raise InputError(
            f"{whose} holds {part!r}, which is not an instrument: for another {term}, repeat "
            f"its name, as in {last},{term}={part}."
        )
    return instrument_name(part)


def _require_alternatives(text: str, whose: str, selectors: Sequence[Selector]) -> None:
    """Raise InputError where a comma separates what looks like the terms of one selector."""
    for one, other in pairwise(selectors):
        if one != other and one.terms.isdisjoint(other.terms):
            raise InputError(
                f"{whose} holds {text!r}, where a comma separates the terms {one} and {other}: "
                f"write '{one} {other}', with a space, for instruments that meet both. For "
                "those that meet either, begin each selector with kind=, as in kind=option "
                "currency=BTC,kind=future."
            )


def _kind(text: str, whose: str, value: str) -> str:
    kind = value.lower()
    if kind in KINDS:
        return kind
    hint = " Perpetuals are selected by the word perpetual." if kind.startswith("perp") else ""
    raise InputError(
        f"{whose} holds the selector {text!r}: kind must be one of {', '.join(KINDS)}."
        f"{hint or or_near(kind, KINDS)}"
    )


def _expiry(text: str, whose: str, value: str) -> date:
    """A day, as 2024-03-29 or as in Deribit's names: 29MAR24."""
    try:
        if named := re.fullmatch(r"(\d{1,2})([A-Z]{3})(\d{2})", value.upper()):
            return date(2000 + int(named[3]), _MONTHS.index(named[2]) + 1, int(named[1]))
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError(value)
        return date.fromisoformat(value)
    except ValueError as error:
        raise InputError(
            f"{whose} holds the selector {text!r}: expiry must be a day such as 2024-03-29 or "
            "29MAR24."
        ) from error
