"""The recorder: writes into the spool what the exchange never publishes again."""
