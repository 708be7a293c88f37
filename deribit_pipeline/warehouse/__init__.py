"""The DuckDB file: its schema, its connection, writes and reads. Only this package and `lake` open
DuckDB databases."""
