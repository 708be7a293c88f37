"""A faithful local exchange over HTTP: what `make demo` and the tests ask.

It behaves as Deribit is known to, traps included, and shares no code with the client it tests.
Its prices are invented.
"""
