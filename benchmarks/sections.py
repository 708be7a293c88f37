"""The document of figures: each benchmark writes a section of its own and leaves the others be."""

import re
from collections.abc import Sequence
from pathlib import Path

_HEADING = "# Benchmarks\n"


def put(document: Path, title: str, target: str, lines: Sequence[str]) -> None:
    """Write the section that a `make` target makes, in the place of the one with this title."""
    text = document.read_text() if document.exists() else _HEADING
    sections = re.split(r"^(?=## )", text, flags=re.M)
    section = f"## {title}\n\nWritten by `make {target}`.\n\n" + "\n".join(lines) + "\n"
    places = [n for n, found in enumerate(sections) if found.startswith(f"## {title}\n")]
    if places:
        sections[places[0]] = section
    else:
        sections.append(section)
    document.write_text("\n\n".join(found.strip() for found in sections) + "\n")
