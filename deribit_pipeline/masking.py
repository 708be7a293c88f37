"""Secrets, in every spelling in which a message may repeat them, replaced by `…`."""

import base64
import functools
import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

MASK = "…"

# The password's place in a connection string: `name=value` of libpq, of a URI's query, and what a
# URI has before its last @. A value in quotes ends with them.
_NAMED = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'?|(?:[^\s'&\\]|\\.)*)", re.IGNORECASE)
_IN_URI = re.compile(r"//[^/?#:@]*:(.*)@")

# What is shorter in base64 is a part of too many words.
_SHORTEST = 6

_learned: set[str] = set()


def learn(secrets: Iterable[str | None]) -> None:
    """Remember secrets of this process for `masked`."""
    _learned.update(filter(None, secrets))


def masked(text: str, secrets: Iterable[str | None] = ()) -> str:
    """The text without these secrets and those that were learned, however they are spelled:
    plainly, in a URL, in JSON, as Python's repr, in SQL or HTML, in base64 or hexadecimal."""
    wanted = _learned.union(filter(None, secrets))
    return _pattern(frozenset(wanted)).sub(MASK, text) if wanted else text


def passwords_of(connection: str) -> set[str]:
    """The passwords in a connection string of PostgreSQL, whether or not libpq understands it, as
    they are written and as they are meant."""
    written = {found for found in _NAMED.findall(connection) if found}
    written |= {found for found in _IN_URI.findall(connection) if found}
    meant = {re.sub(r"\\(.)", r"\1", each.strip("'")) for each in written}
    return (written | meant | {unquote(each) for each in meant}) - {"", "'", "''"}


@functools.lru_cache(maxsize=32)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(spelling for each in longest_first for spelling in _spellings(each)))


def _spellings(secret: str) -> Iterator[str]:
    """Patterns: a character at a time for what spells each by itself, and those that do not."""
    yield "".join(map(_spelled, secret))
    plain = secret.encode(errors="surrogatepass")
    yield f"(?i:{plain.hex()})"
    for shift in range(3):  # in the base64 of a longer text, such as `user:password`
        whole = base64.b64encode(b"\0" * shift + plain).decode()
        inner = whole[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]
        if len(inner) >= _SHORTEST:
            yield re.sub(r"[+/]", lambda sign: "[+-]" if sign[0] == "+" else "[/_]", inner)


def _spelled(character: str) -> str:
    plain = character.encode(errors="surrogatepass")
    ways = {
        character,
        json.dumps(character)[1:-1],
        repr(character)[1:-1],
        repr(plain)[2:-1],
        html.escape(character),
        "+" if character == " " else character,
        "''" if character == "'" else character,
    }
    ways |= {f"\\{character}"} if character in "\"'" else set()
    # Text within text doubles its backslashes each time.
    patterns = [
        re.sub(r"^\\\\", r"\\\\+", re.escape(way)) for way in sorted(ways, key=len, reverse=True)
    ]
    in_url = "".join(f"%{byte:02x}" for byte in plain)
    return f"(?:{'|'.join(patterns)}|(?i:{in_url}))"
