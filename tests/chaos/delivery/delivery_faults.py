"""Faults of delivery, for Swallowtail and for stock Flask-SocketIO: each begins, lasts, and is repaired."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.harness.program import Program
from tests.harness.servers import RedisServer

Fault = Callable[[Program, RedisServer], None]


def kill_web(web: Program, redis: RedisServer) -> None:
    """Kill the web process and start it again."""
    web.kill()
    web.start()


def terminate_web(web: Program, redis: RedisServer) -> None:
    """Terminate the web process, as at a deployment, and start it again."""
    web.terminate()
    web.start()


def kill_redis_briefly(web: Program, redis: RedisServer) -> None:
    """Restart Redis without its data after 0.2 s."""
    redis.kill()
    time.sleep(0.2)
    redis.start()


def kill_redis(web: Program, redis: RedisServer) -> None:
    """Restart Redis without its data after 3 s."""
    redis.kill()
    time.sleep(3)
    redis.start()


def stop_redis(web: Program, redis: RedisServer) -> None:
    """Suspend Redis for 10 s: connections stay open, and Redis does not reply."""
    redis.pause()
    time.sleep(10)
    redis.resume()


def cut_subscribers(web: Program, redis: RedisServer) -> None:
    """Close the Redis connection of every subscriber."""
    with redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (kill_web, terminate_web, kill_redis_briefly, kill_redis, stop_redis, cut_subscribers)
}
