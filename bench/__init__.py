"""Benchmark of Swallowtail and comparable systems: the same load and the same client in one run."""
