"""Real programs for tests: servers, the processes of Swallowtail, and clients that record what they receive."""
