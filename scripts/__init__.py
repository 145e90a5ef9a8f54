"""The supervisor of one machine, the `swallowtail` command, and the report of known vulnerabilities."""
