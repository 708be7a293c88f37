"""The recorder: writes what the exchange publishes into the spool, as it happens."""
