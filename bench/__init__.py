"""Swallowtail beside its peers: the same load, the same client, one run."""
