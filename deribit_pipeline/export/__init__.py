"""Rows of the warehouse as files for other programs, with a manifest of what proves them."""
