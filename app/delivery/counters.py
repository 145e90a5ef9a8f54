"""What delivery counts, for `/metrics`. Beside the road."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

HINTS = Counter("swallowtail_hints_total", "Messages heard on instance channels", ["kind"])
DELIVERED = Counter("swallowtail_delivered_total", "Messages queued for clients", ["kind"])
READS = Counter("swallowtail_delivery_reads_total", "Pages of events read from the database", ["cause"])
RESETS = Counter("swallowtail_resets_total", "Cursors that had to begin again", ["reason"])
RECONNECTS = Counter("swallowtail_redis_reconnects_total", "Times that the listener had to connect to Redis again")
CLIENTS = Gauge("swallowtail_clients", "Connected clients")
WATCHED = Gauge("swallowtail_watched_instances", "Instances with clients in this process")
