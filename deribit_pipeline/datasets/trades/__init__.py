"""The dataset `trades`."""
