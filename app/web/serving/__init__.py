"""Listening sockets, worker processes, file limits, shutdown signals."""
