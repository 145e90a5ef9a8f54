"""Raises the process's limit of open files to what its connections need."""

from __future__ import annotations

import resource

import structlog

log = structlog.get_logger(__name__)

#: Descriptors that are not client connections: the database, Redis, logs, and requests that are being answered.
OTHER_DESCRIPTORS = 256


def raise_limit(connections: int) -> None:
    """Allow that many connections as far as the system permits, and log a warning when fewer are possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (ValueError, OSError) as error:
            # Some systems have a limit below the one that they report.
            log.debug("file_limit_not_raised", reason=str(error))
    if soft != resource.RLIM_INFINITY and soft < needed:
        log.warning("file_limit_low", connections=max(0, soft - OTHER_DESCRIPTORS), max_connections=connections)
