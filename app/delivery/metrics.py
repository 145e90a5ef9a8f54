"""What delivery counts and measures, for `/metrics`; docs/metrics.md is the table. Beside the road."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

HINTS = Counter("swallowtail_hints_total", "Messages heard on instance channels", ["kind"])
DELIVERED = Counter("swallowtail_delivered_total", "Messages queued for clients", ["kind"])
#: Those that every event counts, found once: to find one takes longer than to count.
HEARD_EVENTS, HEARD_LIVE = HINTS.labels("events"), HINTS.labels("live")
DELIVERED_DURABLE, DELIVERED_LIVE = DELIVERED.labels("durable"), DELIVERED.labels("live")
READS = Counter("swallowtail_delivery_reads_total", "Pages of events read from the database", ["cause"])
RESETS = Counter("swallowtail_resets_total", "Cursors that had to begin again", ["reason"])
RECONNECTS = Counter("swallowtail_redis_reconnects_total", "Times that the listener had to connect to Redis again")
#: Of processes that share an address, those that live are added up.
CLIENTS = Gauge("swallowtail_clients", "Connected clients", multiprocess_mode="livesum")
WATCHED = Gauge("swallowtail_watched_instances", "Instances with clients, in each process", multiprocess_mode="livesum")

COMMIT_TO_CLIENT = Histogram(
    "swallowtail_commit_to_client_seconds",
    "From an event's transaction until its message was handed to the clients that keep up",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
GAP_FILLS = Counter("swallowtail_gap_fills_total", "Gaps in what was heard, by what showed them", ["cause"])
RING_MISSES = Counter("swallowtail_ring_misses_total", "Needs for events that a ring did not have any more", ["of"])
SNAPSHOTS = Counter("swallowtail_snapshots_total", "Snapshots that subscriptions began with", ["source"])
LIVE_OFFERED = Counter("swallowtail_live_offered_total", "Live states due to clients, before conflation")
CURSORS_BEHIND = Gauge(
    "swallowtail_cursors_behind", "Subscriptions whose client does not have everything", multiprocess_mode="livesum"
)

PROBES = Counter("swallowtail_probes_total", "Messages of this process to itself through Redis", ["outcome"])
PROBE_SECONDS = Histogram(
    "swallowtail_probe_seconds",
    "Until a message to itself came back",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
DEAF = Gauge(
    "swallowtail_deaf", "1 while Redis takes what is published and nothing comes back", multiprocess_mode="livesum"
)


def observe_delivery(moments: Iterable[float]) -> None:
    """Measure how long ago these moments (Unix seconds by their authors' clocks) were; 0 is none."""
    now = time.time()
    for moment in moments:
        if moment:
            # Another machine's clock may be ahead of this one's.
            COMMIT_TO_CLIENT.observe(max(0.0, now - moment))
