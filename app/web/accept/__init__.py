"""Connections before Flask sees a request: listener, complete heads, read deadlines."""
