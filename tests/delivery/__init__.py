"""Delivery by itself: rings, cursors, watches and the hub, on a database and a transport of paper."""
