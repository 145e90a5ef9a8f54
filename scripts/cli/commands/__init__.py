"""The commands of the `swallowtail` program, one module per noun."""
