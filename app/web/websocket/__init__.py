"""WebSocket connections: frames, handshake, event loop, buffers. Imports no Socket.IO library."""
