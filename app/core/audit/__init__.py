"""Audit log: writes entries in the transaction that they describe, reads and verifies them."""
