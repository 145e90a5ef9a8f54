"""Threads of the web process: publication, audit of denied requests."""
