"""Processes and ports of the machine, as tests use them."""
