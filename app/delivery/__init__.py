"""One web process's half of the event stream: knows sockets, not HTTP."""
