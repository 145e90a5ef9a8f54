"""Commands and the servers that they call."""
