"""No process argument and no log holds a deployment's passwords and keys, also when a service is away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.deployment import Deployment

PASSWORD, KEY = "pa55word-of-redis", "key-of-the-deployment-0123456789abcdef"
SECRETS = (PASSWORD, KEY, "key-of-the-text-engine")


@pytest.mark.long
def test_no_argument_and_no_log_holds_a_secret(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment(
        env={"secret_key": KEY, "openai_api_key": SECRETS[2], "sign_messages": "true", "strict_delivery": "true"},
        tcp=True,
    )
    with deployment.redis.client() as server:
        server.execute_command("ACL", "SETUSER", "known", "on", f">{PASSWORD}", "~*", "&*", "+@all")  # type: ignore[no-untyped-call]
    url = deployment.redis.url.replace("redis://", f"redis://known:{PASSWORD}@")
    env = {"redis_url": url, "log_level": "DEBUG"}
    programs = [deployment.start_web(env=env), deployment.start_worker(env=env), deployment.start_beat(env=env)]
    instance_id = deployment.new_instance()
    assert (
        deployment.wait_for_task(deployment.submit(instance_id, "echo", {"message": "hello"}))["status"] == "COMPLETED"
    )
    pids = {pid for program in programs for pid in [program.pid, *program.descendants()]}
    arguments = [Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids if Path(f"/proc/{pid}").exists()]
    deployment.redis.kill()
    programs[0].wait_for_log("redis_lost")
    for secret in SECRETS:
        assert [line for line in arguments if secret in line] == []
        assert [program.name for program in programs if secret in program.log_text()] == []
