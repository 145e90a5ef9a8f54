"""The tests, in tiers: unit, service, journey, browser, chaos. `tests/harness` starts the real programs."""
