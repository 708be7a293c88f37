"""Mask secrets with `…` in messages, in every encoding in which they may appear."""

import base64
import html
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

MASK = "…"

# Where a connection string holds the password: `name=value` of libpq, a URI's query, and before a
# URI's last @. A quoted value ends at its quote.
_NAMED = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'?|(?:[^\s'&\\]|\\.)*)", re.IGNORECASE)
_IN_URI = re.compile(r"//[^/?#:@]*:(.*)@")

# A shorter part of an encoded secret may occur by chance.
_LEAST_ENCODED = 6

# How often an escape may itself be escaped. A bound, for texts that consist of backslashes.
_ESCAPES, _ESCAPE = r"\\{0,8}", r"\\{1,8}"

_SHORT = {" ": (r"\+",), "\n": (_ESCAPE + "n",), "\t": (_ESCAPE + "t",), "\r": (_ESCAPE + "r",)}

_learned: set[str] = set()


def learn(secrets: Iterable[str | None]) -> None:
    """Register secrets of this process for `masked`."""
    _learned.update(filter(None, secrets))


def masked(text: str, secrets: Iterable[str | None] = ()) -> str:
    """The text with these secrets and all registered ones masked, in any spelling: plain, in a URL,
    in JSON, as Python's repr, in SQL or HTML, in base64 or hexadecimal."""
    required = _learned.union(filter(None, secrets))
    return _pattern(frozenset(required)).sub(MASK, text) if required else text


def passwords_of(connection: str) -> set[str]:
    """The passwords in a PostgreSQL connection string, even one that libpq cannot parse, both as
    written and decoded."""
    written = {found for found in _NAMED.findall(connection) if found}
    written |= {found for found in _IN_URI.findall(connection) if found}
    meant = {re.sub(r"\\(.)", r"\1", each.strip("'")) for each in written}
    return (written | meant | {unquote(each) for each in meant}) - {"", "'", "''"}


@lru_cache(maxsize=32)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(way for each in longest_first for way in _ways_of(each)))


def _ways_of(secret: str) -> Iterator[str]:
    """Patterns for a secret: each character in any spelling, or the whole in another encoding."""
    yield "".join(f"(?:{'|'.join(_spellings(char))})" for char in secret)
    yield from map(re.escape, _encodings(secret))


def _spellings(char: str) -> Iterator[str]:
    """Patterns for one character of a secret in URLs, JSON, HTML and Python's reprs."""
    code, octets = ord(char), char.encode("utf-8", "surrogatepass")
    yield _ESCAPES + re.escape(char)
    # Encoded once or several times, as %2F and %252F.
    yield "".join(f"(?i:%(?:25){{0,4}}{octet:02x})" for octet in octets)
    yield rf"(?i:{_ESCAPE}x{code:02x}|{_ESCAPE}u{code:04x}|{_ESCAPE}U{code:08x})"
    yield "".join(rf"(?i:{_ESCAPE}x{octet:02x})" for octet in octets)
    yield rf"(?i:&#0{{0,6}}{code};|&#x0{{0,6}}{code:x};)"
    if code > 0xFFFF:
        pair = char.encode("utf-16-be").hex()
        yield rf"(?i:{_ESCAPE}u{pair[:4]}{_ESCAPE}u{pair[4:]})"
    if html.escape(char) != char:
        yield re.escape(html.escape(char))
    if char == "'":
        yield "''"  # as SQL doubles it
    yield from _SHORT.get(char, ())


def _encodings(secret: str) -> set[str]:
    """The base64 and hexadecimal encodings of a secret, at any offset in a longer text."""
    octets = secret.encode("utf-8", "surrogatepass")
    found = {octets.hex(), octets.hex().upper()}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + octets).decode()
        # Only the characters that depend only on the secret's bits.
        start, end = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        found |= {whole[start:end], whole[start:end].replace("+", "-").replace("/", "_")}
    return {text for text in found if len(text) >= _LEAST_ENCODED}
