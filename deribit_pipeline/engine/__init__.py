"""Plan, fetch, cross-check, prove, store, verify and repair days, of any dataset."""
