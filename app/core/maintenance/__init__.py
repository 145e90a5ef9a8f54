"""Periodic work: sweeps, retention, key rotation and other cleanup."""
