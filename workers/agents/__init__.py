"""The agents that come with Swallowtail: one file each, found by the `swallowtail.agents` entry points."""
