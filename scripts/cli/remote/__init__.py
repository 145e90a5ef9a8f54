"""The server of a command: its address, its profile and the client that calls it."""
