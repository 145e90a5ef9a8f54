"""Task state, steps, runs and the event log."""
