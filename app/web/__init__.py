"""Flask: REST API, pages and the Socket.IO handlers."""
