"""For several machines: a warehouse in a DuckLake, with locks and rate limit in PostgreSQL."""
