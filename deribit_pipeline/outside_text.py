"""Text from outside, made safe for messages and logs: short, and on one line.

Text from a server, a proxy or a library may have any length, contain terminal control characters,
and repeat secrets that were sent. Apply `masking.masked` first, then `shown`: text that is cut
first may end within a secret.
"""

MOST_SHOWN = 300
"""Maximum characters of an outside text in a message."""

MOST_READ = 20_000
"""Longer texts are cut to this many characters first; the rest cannot affect what is shown."""


def shown(text: object, most: int = MOST_SHOWN) -> str:
    """`text` on one line of at most `most` characters; the last is … if it was cut.

    White space becomes a space; unprintable characters (control characters, bidirectional marks,
    lone surrogates) become question marks.
    """
    visible = str(text)[:MOST_READ]
    # Most texts are plain, and errors are created on the path of every retry.
    if not visible.isprintable():
        visible = "".join(
            char if char.isprintable() else " " if char.isspace() else "?" for char in visible
        )
    return visible if len(visible) <= most else visible[: most - 1] + "…"
