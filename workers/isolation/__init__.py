"""Restores process state that an agent changed, so that the next run starts clean."""
