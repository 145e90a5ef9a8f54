"""Threads, circuit breakers, and the check of libraries at start."""
