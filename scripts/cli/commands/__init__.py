"""The command groups of the `swallowtail` command."""
