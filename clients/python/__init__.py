"""A Socket.IO client of Swallowtail in Python. Copy this directory into a project under a name of your choice."""
