"""The command `swallowtail doctor` and each of its checks, with a fault of each kind."""
