"""Connections to Redis: clients, subscriptions that reconnect, and the format of the published messages."""
