"""Metrics, logs, retention, several processes."""
