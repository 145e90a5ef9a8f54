"""Real programs for tests: servers, the system's own processes, and clients that record what they receive."""
