"""What a table, a column and a view are: DDL, comments and the data dictionary follow from them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `unit` is empty for what has none."""

    name: str
    type: str
    description: str
    unit: str = ""
    is_nullable: bool = False

    def ddl(self) -> str:
        """The column in the statement that makes its table."""
        return f"{self.name} {self.type}" + ("" if self.is_nullable else " not null")

    @property
    def comment(self) -> str:
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Its description starts with the grain; `key` names a row. `layout` says how a lake
    keeps it, as `alter table … set` takes it."""

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
        """The statement that makes the table."""
        columns = ",\n    ".join(column.ddl() for column in self.columns)
        return f"create table {self.name} (\n    {columns}\n)"

    def comments(self) -> list[str]:
        """The statements that say inside the file what it holds."""
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
    """A view, or with `parameters` a macro that answers a table; its columns are described where
    they come from. A parameter `name := value` may be left out."""

    name: str
    description: str
    query: str
    parameters: tuple[str, ...] = ()

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})" if self.parameters else self.name

    def ddl(self) -> list[str]:
        """The statements that make the view, again too, and say inside the file what it shows."""
        kind, table, of_table = (
            ("macro", " table", "macro table") if self.parameters else ("view", "", "view")
        )
        return [
            f"create or replace {kind} {self.signature} as{table} {self.query}",
            f"comment on {of_table} {self.name} is {quoted(self.description)}",
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
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
