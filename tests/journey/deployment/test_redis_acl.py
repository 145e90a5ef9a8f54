"""The example ACL file lets every process do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.harness.recorder import Recorder
from tests.harness.servers import RedisServer

USERS = ("web", "worker", "beat", "emitter")


class GuardedRedis(RedisServer):
    """A Redis with the users of the example."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, binary="system", tcp=True)
        rules = (ROOT / "examples/redis-users.acl").read_text(encoding="utf-8")
        # An ACL file has no comments.
        users = [line for line in rules.splitlines() if line.startswith("user ")]
        (directory / "users.acl").write_text("\n".join([*users, "user root on >root ~* &* +@all"]) + "\n")
        self.command += ["--aclfile", str(directory / "users.acl")]
        self.plain = self.url
        self.url = self.as_user("root", "root")

    def as_user(self, name: str, password: str | None = None) -> str:
        return self.plain.replace("redis://", f"redis://{name}:{password or f'change-me-{name}'}@")


@pytest.fixture
def guarded() -> Iterator[tuple[Deployment, GuardedRedis]]:
    deployment = Deployment(env={"queue": "swallowtail"})
    deployment.redis = server = GuardedRedis(deployment.root)
    deployment.env["SWALLOWTAIL_REDIS_URL"] = server.as_user("beat")
    with deployment:
        yield deployment, server


def refused(server: GuardedRedis, name: str, *command: str) -> bool:
    client = redis.Redis.from_url(server.as_user(name))
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return True
    finally:
        client.close()
    return False


@pytest.mark.long
def test_a_whole_task_runs_with_least_rights(guarded: tuple[Deployment, GuardedRedis]) -> None:
    deployment, server = guarded
    web = deployment.start_web(env={"redis_url": server.as_user("web"), "limits": "on"})
    deployment.start_worker(env={"redis_url": server.as_user("worker")})
    deployment.start_beat(env={"redis_url": server.as_user("beat")})
    instance_id = deployment.new_instance()
    with Recorder(web.url) as client:
        client.subscribe(instance_id)
        task_id = deployment.submit(instance_id, "echo", {"message": "hello"})
        assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
        head = deployment.events(instance_id)[-1]["seq"]
        client.wait_for_seq(instance_id, head)
        assert client.events() == deployment.events(instance_id)
    with server.client() as root:
        denied = [entry for entry in root.acl_log() if entry["username"] in USERS]
    assert [(entry["username"], entry["reason"], entry["object"]) for entry in denied] == []


FORBIDDEN: list[tuple[str, tuple[str, ...]]] = [
    *((name, command) for name in USERS for command in (("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"))),
    *((name, ("ACL", "LIST")) for name in USERS),
    *((name, ("GET", "somebody-elses")) for name in ("web", "worker")),
    ("web", ("BRPOP", "swallowtail.0123abcd", "1")),
    ("web", ("PUBLISH", "/0.celery.pidbox", "{}")),
    ("worker", ("PUBLISH", "flask-socketio", "{}")),
    ("beat", ("SUBSCRIBE", "swallowtail:instance:demo")),
    ("beat", ("BRPOP", "swallowtail.0123abcd", "1")),
    ("emitter", ("PUBLISH", "swallowtail:instance:demo", "{}")),
    ("emitter", ("SUBSCRIBE", "flask-socketio")),
    ("emitter", ("LPUSH", "swallowtail", "{}")),
]


def test_each_redis_user_can_do_only_its_own_work(guarded: tuple[Deployment, GuardedRedis]) -> None:
    _, server = guarded
    assert [(name, command) for name, command in FORBIDDEN if not refused(server, name, *command)] == []
    assert not refused(server, "emitter", "PUBLISH", "flask-socketio", "{}")
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(server.plain) as unauthenticated:
        unauthenticated.ping()
