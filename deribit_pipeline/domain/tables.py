"""Definitions of tables, columns and views, from which DDL, comments and the data dictionary
follow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `unit` is empty if it has none."""

    name: str
    type: str
    description: str
    unit: str = ""
    is_nullable: bool = False

    def ddl(self) -> str:
        """The column definition for `create table`."""
        return f"{self.name} {self.type}" + ("" if self.is_nullable else " not null")

    @property
    def comment(self) -> str:
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Its description starts with the grain; `key` identifies a row. `layout` defines how
    a lake stores it, as options of `alter table … set`."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str
    warnings: tuple[str, ...] = ()
    layout: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """The column of that name."""
        return next(column for column in self.columns if column.name == name)

    def columns_but(self, name: str) -> tuple[Column, ...]:
        """All columns but one."""
        return tuple(column for column in self.columns if column.name != name)

    def ddl(self) -> str:
        """The `create table` statement."""
        columns = ",\n    ".join(column.ddl() for column in self.columns)
        return f"create table {self.name} (\n    {columns}\n)"

    def comments(self) -> list[str]:
        """The `comment on` statements for the table and its columns."""
        comment = " ".join((self.description, *self.warnings))
        return [
            f"comment on table {self.name} is {quoted(comment)}",
            *(
                f"comment on column {self.name}.{column.name} is {quoted(column.comment)}"
                for column in self.columns
            ),
        ]


@dataclass(frozen=True, slots=True)
class View:
    """A view, or with `parameters` a table macro; its columns are described in their source tables.
    With `is_scalar` it is a macro of one value, and its query an expression. A parameter
    `name := value` is optional."""

    name: str
    description: str
    query: str
    parameters: tuple[str, ...] = ()
    is_scalar: bool = False

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})" if self.parameters else self.name

    @property
    def label(self) -> str:
        """What it is, in the data dictionary."""
        if self.is_scalar:
            return "macro of one value"
        return "macro" if self.parameters else "view"

    @property
    def kind(self) -> str:
        """What it is, as `comment on` and `drop` name it."""
        if self.is_scalar:
            return "macro"
        return "macro table" if self.parameters else "view"

    def ddl(self) -> list[str]:
        """The statements that create or replace the view, and its comment."""
        kind, _, table = self.kind.partition(" ")
        return [
            f"create or replace {kind} {self.signature} as {table} {self.query}",
            f"comment on {self.kind} {self.name} is {quoted(self.description)}",
        ]


CROSS_CHECK = Column(
    "cross_check",
    "varchar",
    "agrees, where an independent series of the exchange, such as coarser candles, agrees with the "
    "rows; disagrees, where it does not and two responses for different windows confirmed the "
    "rows; none, where they were not compared.",
)
PROOF_HASH = Column(
    "proof_hash",
    "varchar",
    "BLAKE2b-128, in hex, of all else in this row and of the day's gaps, arrivals and revisions.",
)


def quoted(text: str) -> str:
    """The text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
