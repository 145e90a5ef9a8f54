"""Agents that are installed with Swallowtail, found by the `swallowtail.agents` entry points."""
