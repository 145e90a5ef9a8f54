"""Faults of delivery, and thousands of clients that reconnect."""
