"""A faithful local exchange over HTTP and WebSocket, for `make demo` and the tests.

It behaves as Deribit is known to behave, traps included, and shares no code with the client that it
tests. Its prices are invented.
"""
