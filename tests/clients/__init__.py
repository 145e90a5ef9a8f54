"""The client classes that are given to others: the client rule, fake sockets, and the real web process."""
