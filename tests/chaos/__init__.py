"""Tests of tasks and delivery under faults."""
