"""For several machines: a warehouse in a DuckLake, its locks and rate limit in PostgreSQL."""
