"""The command line. Heavy libraries are imported by the command that needs them."""
