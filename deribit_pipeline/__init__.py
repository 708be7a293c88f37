"""A complete, provable, local warehouse of the Deribit exchange's market history."""

__version__ = "0.1.0"
