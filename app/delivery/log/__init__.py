"""Reads an instance's log from the database and keeps its recent events and snapshots in memory."""
