"""Connections before Flask sees a request: listening socket, complete request heads, read deadlines."""
