"""As many open files as the connections of a web process need. Before the road."""

from __future__ import annotations

import resource

import structlog

log = structlog.get_logger(__name__)

#: Descriptors that are not connections: the database, Redis, logs, and requests on their way.
SPARE = 256


def raise_limit(connections: int) -> None:
    """Allow this process that many connections, as far as the system lets it, and say so when that is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if soft != resource.RLIM_INFINITY and soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (ValueError, OSError) as refusal:
            # Some systems have a limit below the one that they tell.
            log.debug("descriptors_not_raised", reason=str(refusal))
    if soft != resource.RLIM_INFINITY and soft < needed:
        log.warning("descriptors_scarce", connections=max(0, soft - SPARE), max_connections=connections)
