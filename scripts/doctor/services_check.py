"""Checks Redis, the broker and the web process by one connection each."""

from __future__ import annotations

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.health import OK
from swallowtail.app.core.ledger.outbox import make_sender, read_depth
from swallowtail.app.core.redis.connection import connect
from swallowtail.scripts.banner import address
from swallowtail.scripts.doctor.clocks import check_clock
from swallowtail.scripts.doctor.results import CheckResult, Level, describe

#: Longest wait for one call, in seconds: shorter than the limit of a whole check.
CALL_SECONDS = 2.0
#: Share of the memory limit above which Redis is nearly full.
_NEARLY_FULL = 0.9
_START = "start it: `swallowtail up` starts everything, `swallowtail {}` only this"


def check_redis(settings: Settings) -> Iterator[CheckResult]:
    """Check that Redis responds, deletes nothing by itself, and has the time of this machine."""
    place, is_embedded = _name_place(settings.redis), settings.embedded_redis
    try:
        with connect(settings, timeout=CALL_SECONDS) as client:
            before = time.time()
            seconds, microseconds = client.time()
            after = time.time()
            info = _read_info(client)
    except (redis.RedisError, OSError) as fault:
        remedy = _START.format("redis") if is_embedded else "start it, or correct SWALLOWTAIL_REDIS_URL"
        yield CheckResult("problem", "Redis", f"{place} does not respond: {describe(fault)}", remedy)
        return
    yield from _check_memory(place, info)
    yield check_clock("Redis", seconds + microseconds / 1e6, before, after)


def _read_info(client: redis.Redis) -> dict[str, Any]:
    try:
        info: dict[str, Any] = client.info()
    except redis.ResponseError:
        # The ACL does not allow it, and nothing needs it.
        return {}
    return info


def _check_memory(place: str, info: dict[str, Any]) -> Iterator[CheckResult]:
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info.get('redis_version', '')}"
    most, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction"))
    if most and policy != "noeviction":
        detail = f"{place} deletes keys when it is full (maxmemory-policy {policy}): messages get lost"
        yield CheckResult("warning", "Redis", detail, "set maxmemory-policy to noeviction")
    if most and int(info.get("used_memory", 0)) > most * _NEARLY_FULL:
        detail = f"{place} uses {info['used_memory'] // 1_000_000} of {most // 1_000_000} MB"
        yield CheckResult("warning", "Redis", detail, "raise maxmemory: a full Redis takes no messages")
    yield CheckResult("ok", "Redis", f"{name.strip()} responds at {place}")


def check_message_queue(settings: Settings) -> Iterator[CheckResult]:
    """Check that the broker responds, and count the messages in its queue."""
    place, file = _name_place(settings.broker), settings.database_file
    times = {"database_wait": CALL_SECONDS, "send_timeout": min(settings.send_timeout, CALL_SECONDS)}
    patient = settings.model_copy(update=times)
    # The name of the queue is in the database; without it, another queue shows as well that the broker responds.
    if file is None or file.exists():
        with contextlib.suppress(SwallowtailError, SQLAlchemyError):
            patient = join(patient)
    with make_sender(patient) as sender:
        depth = read_depth(patient, sender)
    if depth is not None:
        yield CheckResult("ok", "broker", f"{place} responds; messages in the queue {patient.queue}: {depth}")
        return
    remedy = "it is the Redis above" if settings.broker_url is None else "start it, or correct SWALLOWTAIL_BROKER_URL"
    yield CheckResult("problem", "broker", f"{place} does not respond: tasks wait until it does", remedy)


def check_web(settings: Settings) -> Iterator[CheckResult]:
    """Check that the web process of this machine is ready."""
    url = f"{address(settings)}/readyz"
    try:
        health = _read_health(url)
    except (OSError, ValueError) as fault:
        # On another machine than the web process, nothing responds here.
        status: Level = "problem" if settings.embedded_redis else "warning"
        reason = describe(getattr(fault, "reason", None) or fault)
        yield CheckResult(status, "web", f"{url} does not respond: {reason}", _START.format("web"))
        return
    if health is None:
        detail = f"{url} answers, but not as Swallowtail: another program has this port"
        yield CheckResult("problem", "web", detail, "set another SWALLOWTAIL_PORT, or end that program")
        return
    wrong = {name: state for name, state in health["components"].items() if state["status"] != OK}
    reasons = "; ".join(f"{name} {state['detail']}" for name, state in wrong.items())
    if health["status"] == "down":
        yield CheckResult("problem", "web", f"{url} is not ready: {reasons}", "mend these; its log has more")
    elif wrong:
        yield CheckResult("warning", "web", f"{url} is ready, with limits: {reasons}", "mend these; its log has more")
    else:
        yield CheckResult("ok", "web", f"{url} is ready")


def _read_health(url: str) -> dict[str, Any] | None:
    """Return the readiness; None if it is not that of a web process. Raises OSError, ValueError."""
    # Not through the proxy of the environment: the web process runs on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=CALL_SECONDS) as response:
            content = response.read(1_000_000)
    except urllib.error.HTTPError as error:
        content = error.read(1_000_000)
    try:
        health = json.loads(content)
    except ValueError:
        return None
    is_ours = isinstance(health, dict) and isinstance(health.get("components"), dict) and "status" in health
    return health if is_ours else None


def _name_place(url: str) -> str:
    """Return where a server listens, without user and password."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return unquote(parts.path)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
