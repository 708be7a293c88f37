"""The dataset `rolling`."""
