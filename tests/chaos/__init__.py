"""Faults, and what becomes of tasks that meet them."""
