"""The benchmark's own arithmetic: what it says of a system must be true of it."""
