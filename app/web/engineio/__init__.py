"""Engine.IO: the fast path for websockets, long polling and packets, on private parts of python-engineio."""
