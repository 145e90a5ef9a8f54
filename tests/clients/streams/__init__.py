"""Streams of the Python client, with real processes and with a connection of the test."""
