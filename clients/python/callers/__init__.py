"""Executes flows: in the thread of the caller, or in an event loop."""
