"""The dataset `account`."""
