"""Opens connections to Redis that fail after a timeout instead of trying again."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.config.tls import read_address


def connect(settings: Settings, *, timeout: float | None = None, silence: float | None = None) -> redis.Redis:
    """Return a client whose calls fail after `timeout` seconds (default: `publish_timeout`), reads after `silence`."""
    limit = settings.publish_timeout if timeout is None else timeout
    address = read_address(settings.redis)
    return redis.Redis.from_url(
        address.url,
        socket_timeout=limit if silence is None else silence,
        socket_connect_timeout=limit,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **(address.redis_tls or {}),
    )
