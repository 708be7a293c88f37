"""Instrument-days to requests, pages to days, days to proofs. Pure: no I/O, no clock."""
