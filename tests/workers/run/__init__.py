"""Runs, steps, heartbeats and leases."""
