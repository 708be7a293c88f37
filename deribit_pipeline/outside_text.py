"""Text that comes from outside, made fit for messages and logs: short, and on one line.

What a server, a proxy or a library says may be of any length, hold control characters that a
terminal obeys, and repeat the secrets that it was sent. First `masking.masked`, then `shown`: a
text that is cut first may end within a secret.
"""

MOST_SHOWN = 300
"""Characters of an outside text that a message repeats."""

MOST_READ = 20_000
"""Of a longer text, what lies beyond cannot become part of what is shown."""


def shown(text: object, most: int = MOST_SHOWN) -> str:
    """`text` on one line of at most `most` characters, of which the last is … where it was cut.

    White space becomes a space; what is not printable (control characters, marks that change the
    direction of writing, lone surrogates) becomes a question mark.
    """
    said = str(text)[:MOST_READ]
    # Most texts are plain, and errors are made on the path of every retry.
    if not said.isprintable():
        said = "".join(
            char if char.isprintable() else " " if char.isspace() else "?" for char in said
        )
    return said if len(said) <= most else said[: most - 1] + "…"
