"""Documented deployments, brokers and permissions."""
