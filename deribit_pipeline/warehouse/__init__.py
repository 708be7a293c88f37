"""The DuckDB file: its schema, its connection, writes and reads. Nothing else knows duckdb."""
