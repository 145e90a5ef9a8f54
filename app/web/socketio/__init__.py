"""Socket.IO events: handlers, authentication at connect, the client manager."""
