"""The spool: append-only files of what was recorded, until it is proved in the warehouse."""
