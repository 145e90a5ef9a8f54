"""The client classes: the client rule, fake connections, and a real web process."""
