"""The `swallowtail` command: runtime, input, output and exit codes that its commands share."""
