"""Applies an instance's redaction rules to payloads, once, before they are stored."""
