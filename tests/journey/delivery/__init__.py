"""Events from the log to clients."""
