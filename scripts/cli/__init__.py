"""The parts of the `swallowtail` command."""
