"""What befalls delivery, the same for ours and for the stock path: each fault strikes, lasts, and is mended."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.harness.program import Program
from tests.harness.servers import RedisServer

Fault = Callable[[Program, RedisServer], None]


def kill_web(web: Program, redis: RedisServer) -> None:
    """The web process is killed and started again."""
    web.kill()
    web.start()


def terminate_web(web: Program, redis: RedisServer) -> None:
    """The web process is asked to end, as at a deployment, and started again."""
    web.terminate()
    web.start()


def kill_redis_briefly(web: Program, redis: RedisServer) -> None:
    """Redis is away for 0.2 s and has forgotten everything."""
    redis.kill()
    time.sleep(0.2)
    redis.start()


def kill_redis(web: Program, redis: RedisServer) -> None:
    """Redis is away for 3 s and has forgotten everything."""
    redis.kill()
    time.sleep(3)
    redis.start()


def stop_redis(web: Program, redis: RedisServer) -> None:
    """Redis hangs for 10 s: connections stand, nothing answers."""
    redis.pause()
    time.sleep(10)
    redis.resume()


def cut_subscribers(web: Program, redis: RedisServer) -> None:
    """Redis closes every subscriber's connection."""
    with redis.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (kill_web, terminate_web, kill_redis_briefly, kill_redis, stop_redis, cut_subscribers)
}
