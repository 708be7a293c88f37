"""Text that comes from outside, made fit for messages and logs: short, on one line, no secrets.

What a server, a proxy or a library says may be of any length, hold control characters that a
terminal obeys, and repeat the secrets that it was sent. First `masked`, then `shown`: a text that
is cut first may end within a secret.
"""

import base64
import html
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

MOST_SHOWN = 300
"""Characters of an outside text that a message repeats."""

# Of a longer text, what lies beyond cannot become part of what is shown.
_MOST_READ = 20_000

# A shorter part of an encoded secret occurs by chance.
_LEAST_ENCODED = 6

# How often an escape may itself be escaped. A bound, for texts of nothing but backslashes.
_ESCAPES, _ESCAPE = r"\\{0,8}", r"\\{1,8}"

_NAMED = {" ": (r"\+",), "\n": (_ESCAPE + "n",), "\t": (_ESCAPE + "t",), "\r": (_ESCAPE + "r",)}


def shown(text: object, most: int = MOST_SHOWN) -> str:
    """`text` on one line of at most `most` characters, of which the last is … where it was cut.

    White space becomes a space; what is not printable (control characters, marks that change the
    direction of writing, lone surrogates) becomes a question mark.
    """
    said = str(text)[:_MOST_READ]
    # Most texts are plain, and errors are made on the path of every retry.
    if not said.isprintable():
        said = "".join(
            char if char.isprintable() else " " if char.isspace() else "?" for char in said
        )
    return said if len(said) <= most else said[: most - 1] + "…"


def masked(text: object, secrets: Iterable[str]) -> str:
    """`text` without any of the secrets: each becomes …, as it is or URL-encoded, as base64 or
    hexadecimal digits (of a longer text that holds it, too), escaped as in JSON, HTML or a repr."""
    said = str(text)[:_MOST_READ]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        said = _pattern_of(secret).sub("…", said)
    return said


@lru_cache(maxsize=64)
def _pattern_of(secret: str) -> re.Pattern[str]:
    in_characters = "".join(f"(?:{'|'.join(_spellings(char))})" for char in secret)
    return re.compile("|".join([in_characters, *map(re.escape, _encodings(secret))]))


def _spellings(char: str) -> Iterator[str]:
    """Patterns of one character of a secret as URLs, JSON, HTML and Python's reprs write it."""
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
    yield from _NAMED.get(char, ())


def _encodings(secret: str) -> set[str]:
    """What base64 and hexadecimal digits make of a secret, wherever in a longer text it begins."""
    octets = secret.encode("utf-8", "surrogatepass")
    found = {octets.hex(), octets.hex().upper()}
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + octets).decode()
        # The characters that are made of the secret's bits alone.
        start, end = -(-before * 8 // 6), (before + len(octets)) * 8 // 6
        found |= {whole[start:end], whole[start:end].replace("+", "-").replace("/", "_")}
    return {text for text in found if len(text) >= _LEAST_ENCODED}
