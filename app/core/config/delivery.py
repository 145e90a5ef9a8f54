"""Settings of delivery: Redis publishing, event buffers, client queues, replay and snapshots."""

from __future__ import annotations

from pydantic import BaseModel, Field


class DeliverySettings(BaseModel):
    """How committed events and live state reach the clients of a web process."""

    # Delivery
    publish_timeout: float = Field(1.0, gt=0, le=30, description="Longest time of one publish to Redis")
    socketio_channel: str = Field(
        "flask-socketio", pattern=r"^[A-Za-z0-9_.:-]{1,64}$", description="Redis channel for emits of other programs"
    )
    head_interval: float = Field(5.0, gt=0, description="How often clients of an idle room receive its latest number")
    head_check: float = Field(1.0, gt=0, description="How often a watched instance is compared with the database")
    probe_interval: float = Field(1.0, gt=0, description="How often a web process publishes a message to itself")
    deaf_after: float = Field(3.0, gt=0, description="Silence after which a web process subscribes to Redis again")
    ring_events: int = Field(1000, ge=10, description="Recent events in memory for each watched instance")
    ring_bytes: int = Field(1_048_576, ge=65_536, description="Most memory for the recent events of an instance")
    client_backlog: int = Field(256, ge=16, description="Messages that may wait for a client before its stream pauses")
    client_bytes: int = Field(65_536, ge=4096, description="Bytes that may wait for a client that does not read them")
    outbound_bytes: int = Field(
        67_108_864,
        ge=1_048_576,
        description="Bytes that may wait for all clients of a process; beyond it the slowest clients are closed",
    )
    connect_timeout: float = Field(
        45.0, gt=0, description="How long a connection may stay outside a Socket.IO namespace"
    )
    poll_packets: int = Field(
        16, ge=1, description="Packets in one answer to a poll; python-engineio's client reads no more than 16"
    )
    max_post_packets: int = Field(
        5000, ge=1, description="Packets in one request of a polling client; more of them end its session"
    )
    client_rate: int = Field(200, ge=1, description="Messages of a client that are handled per second; the rest wait")
    resume_rate: int = Field(2000, ge=1, description="Clients that may resume per second; the rest retry later")
    join_seconds: float = Field(
        0.005, ge=0, le=1, description="Longest wait of an event in a busy room for the next one, to send both at once"
    )
    replay_limit: int = Field(10_000, ge=1, description="Longest gap that is replayed; a longer one gets a snapshot")
    snapshot_tasks: int = Field(200, ge=1, description="Most tasks in a snapshot, the latest first")
    snapshot_steps: int = Field(2000, ge=1, description="Most steps in a snapshot, those of the latest tasks first")
    snapshot_bytes: int = Field(
        1_048_576, ge=16_384, description="Largest snapshot, as JSON; the oldest content that does not fit is left out"
    )
    snapshot_share: float = Field(
        1.0, ge=0, le=60, description="How long one snapshot serves all clients that ask for it; 0 for never"
    )
    progress_rate: float = Field(10.0, gt=0, description="Live progress messages per task and second")
