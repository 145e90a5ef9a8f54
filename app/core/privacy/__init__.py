"""Pure functions that find and hide secrets, and the keys that encrypt payloads."""
