"""The metrics of delivery, for `/metrics` (docs/metrics.md lists them)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("swallowtail_hints_total", "Messages received on instance channels", ["kind"])
DELIVERED = Counter("swallowtail_delivered_total", "Messages queued for clients", ["kind"])
#: Looked up once, since every event counts them: the lookup takes longer than the count.
RECEIVED_EVENTS, RECEIVED_LIVE = MESSAGES.labels("events"), MESSAGES.labels("live")
DELIVERED_DURABLE, DELIVERED_LIVE = DELIVERED.labels("durable"), DELIVERED.labels("live")
READS = Counter("swallowtail_delivery_reads_total", "Pages of events read from the database", ["cause"])
RESETS = Counter("swallowtail_resets_total", "Cursors that had to start again", ["reason"])
RECONNECTS = Counter("swallowtail_redis_reconnects_total", "Reconnections of the subscriber to Redis")
#: Summed over the live processes that share an address.
CLIENTS = Gauge("swallowtail_clients", "Connected clients", multiprocess_mode="livesum")
INSTANCES = Gauge(
    "swallowtail_watched_instances", "Instances with clients, in each process", multiprocess_mode="livesum"
)

COMMIT_TO_CLIENT = Histogram(
    "swallowtail_commit_to_client_seconds",
    "From an event's transaction until its message was sent to the clients that keep up",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
GAP_FILLS = Counter("swallowtail_gap_fills_total", "Gaps in the events received, by how they were found", ["cause"])
BUFFER_MISSES = Counter("swallowtail_ring_misses_total", "Requests for events that the buffer no longer had", ["of"])
SNAPSHOTS = Counter("swallowtail_snapshots_total", "Snapshots that subscriptions started with", ["source"])
LIVE_OFFERED = Counter("swallowtail_live_offered_total", "Live states due to clients, before conflation")
CURSORS_BEHIND = Gauge(
    "swallowtail_cursors_behind", "Subscriptions whose client does not have everything", multiprocess_mode="livesum"
)

PROBES = Counter("swallowtail_probes_total", "Self-check messages through Redis", ["outcome"])
PROBE_SECONDS = Histogram(
    "swallowtail_probe_seconds",
    "Round trip of a self-check message",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
NOT_RECEIVING = Gauge(
    "swallowtail_deaf", "1 while Redis accepts self-check messages and none comes back", multiprocess_mode="livesum"
)


def observe_delivery(moments: Iterable[float]) -> None:
    """Observe the time since these moments, in Unix seconds by their authors' clocks; 0 is unknown."""
    now = time.time()
    for moment in moments:
        if moment:
            # Another machine's clock may be ahead of this one's.
            COMMIT_TO_CLIENT.observe(max(0.0, now - moment))
