"""The dataset `settlements`."""
