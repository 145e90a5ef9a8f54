"""Tests of the `swallowtail` command."""
