"""While Redis fails no caller waits for it, and the process counts its own connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
import structlog

from swallowtail.app.web.limits import connection_quota
from swallowtail.app.web.limits.connection_quota import ConnectionQuota
from tests.harness.settings import make_settings
from tests.harness.waiting import PATIENCE, wait_until


class FakeRedis(ConnectionQuota):
    """A quota whose Redis fails on demand; other processes have `others` connections of each user."""

    is_away = True
    others = 1
    attempts = 0

    def _write(self, keys: list[str], numbers: list[int], *, renews_lease: bool) -> list[int]:
        self.attempts += 1
        if self.is_away:
            raise redis.ConnectionError
        return [self.others] * len(keys)


@pytest.fixture
def quota(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRedis]:
    monkeypatch.setattr(connection_quota, "_RETRY_PAUSE", 0.01)
    quota = FakeRedis(make_settings().model_copy(update={"limit_timeout": PATIENCE}))
    yield quota
    quota.close()


def test_a_process_counts_its_own_connections_while_redis_fails_and_all_when_it_is_back(quota: FakeRedis) -> None:
    with structlog.testing.capture_logs() as logs:
        assert [quota.acquire("ann", 2) for _ in range(3)] == [True, True, False]
        wait_until(lambda: quota.attempts > 3, "its thread tries again")
        assert quota.acquire("bob", 1)
    assert [line["event"] for line in logs] == ["connection_quota_without_redis"]
    quota.is_away = False
    wait_until(lambda: not quota._breaker.has_failed, "Redis is back")
    assert [quota.acquire("eve", 2) for _ in range(2)] == [True, False]
    quota.release("ann")
    assert not quota.acquire("ann", 2)
    quota.others = 0
    assert quota.acquire("ann", 2)
