"""`docs`: the documents of this version, in the terminal."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import typer

from deribit_pipeline.cli.app import command
from deribit_pipeline.cli.terminal import stderr, stdout
from deribit_pipeline.errors import InputError

_SETTINGS = ".env.example"


@command("deribit-pipeline docs tutorial")
def docs(
    page: Annotated[
        str | None, typer.Argument(metavar="[PAGE]", help="The page; without it, all are listed.")
    ] = None,
) -> int:
    """Print a page of the documents of this version: README, tutorial, settings and the others."""
    pages = _pages()
    if page is None:
        for name, file in pages.items():
            _print(f"{name:<18} {_title(file)}")
        stderr().print("deribit-pipeline docs PAGE prints one of them.")
        return 0
    name = page.removeprefix("docs/").removesuffix(".md").lower()
    if name not in pages:
        raise InputError(f"There is no page {page!r}: the pages are {', '.join(pages)}.")
    text = pages[name].read_text(encoding="utf-8")
    if stdout().is_terminal and name != "settings":
        from rich.markdown import Markdown

        stdout().print(Markdown(text))
    else:
        _print(text.rstrip())
    return 0


def _print(text: str) -> None:
    """Print plain text as it is, whatever the width of the terminal."""
    stdout().print(text, markup=False, highlight=False, soft_wrap=True)


def _pages() -> dict[str, Traversable]:
    """The pages by name: those that the wheel contains, or those of the repository around an
    editable installation."""
    package = files("deribit_pipeline")
    root = package / "documents"
    if not root.is_dir():
        root = package / ".."
    pages = {"readme": root / "README.md", "settings": root / _SETTINGS}
    for file in sorted((root / "docs").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".md"):
            pages[file.name.removesuffix(".md")] = file
    return pages | {"changelog": root / "CHANGELOG.md"}


def _title(file: Traversable) -> str:
    if file.name == _SETTINGS:
        return "Every setting, with its default"
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("# ")
