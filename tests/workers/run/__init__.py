"""Tests of runs, steps, heartbeats and leases."""
