"""Threads of the web process: audit of denied requests, password hashes."""
