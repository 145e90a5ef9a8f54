"""The commands that run processes (`swallowtail up`, `web`, `worker`, …), the supervisor, and the embedded Redis."""
