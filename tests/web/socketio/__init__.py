"""Socket.IO handlers and the client manager."""
