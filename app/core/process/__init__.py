"""Supervised child processes, periodic threads, circuit breakers, private files, and the check of libraries."""
