"""Processes: the check of libraries at start."""
