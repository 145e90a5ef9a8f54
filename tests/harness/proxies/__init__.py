"""TCP proxies for tests, each with a fault of its own."""
