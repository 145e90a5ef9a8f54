"""Channels, keys and queues carry the deployment's identity, which its database keeps."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.database.schema_version import latest_revision
from swallowtail.app.core.deployment_identity import DeploymentRegistration, join
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.ledger.outbox import broker_settings
from swallowtail.app.core.ledger.publisher import access_channel, instance_channel
from swallowtail.app.core.tables.base import Base
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings


def deploy(directory: Path, **values: object) -> Settings:
    """Return the settings of a deployment with tables and without an identity."""
    directory.mkdir(exist_ok=True)
    settings = make_settings(var_dir=directory, **values)
    db = Database(settings)
    Base.metadata.create_all(db.engine)
    with db.write() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        session.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": latest_revision()})
    db.dispose()
    return settings


def names(settings: Settings) -> set[str]:
    broker = broker_settings(settings)
    channels = {instance_channel(settings, "demo"), access_channel(settings)}
    return {*channels, broker["task_default_queue"], broker["task_default_exchange"]}


def test_two_deployments_share_no_name(tmp_path: Path) -> None:
    first, second = join(deploy(tmp_path / "a")), join(deploy(tmp_path / "b"))
    assert names(first) & names(second) == set()
    assert all(first.deployment in name for name in names(first))


def test_every_process_of_one_deployment_has_its_names_however_often_it_joins(tmp_path: Path) -> None:
    settings, queue_names = deploy(tmp_path), set[str]()
    threads = [threading.Thread(target=lambda: queue_names.add(join(join(settings)).queue)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue_names) == 1


def test_a_name_that_is_set_is_the_deployments(tmp_path: Path) -> None:
    joined = join(deploy(tmp_path, deployment="blue"))
    assert (joined.channel_prefix, joined.queue) == ("swallowtail:blue", "swallowtail.blue")


@pytest.mark.parametrize("name", ["", "blue"])
def test_a_database_without_tables_is_reported_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"run swallowtail release first"):
        join(make_settings(var_dir=tmp_path, deployment=name))


def test_tables_that_are_older_than_the_code_are_refused_and_newer_ones_are_accepted(tmp_path: Path) -> None:
    settings = deploy(tmp_path)
    for revision, is_good in (("0001", False), ("9999", True)):
        db = Database(settings)
        with db.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
        db.dispose()
        if is_good:
            assert join(settings).deployment
            with structlog.testing.capture_logs() as logs:
                migrate(settings)
            assert [line["event"] for line in logs] == ["database_is_newer"]
        else:
            with pytest.raises(SettingsError, match="is not up to date"):
                join(settings)


@pytest.mark.service
def test_a_copy_of_the_database_on_the_same_redis_is_noticed(tmp_path: Path, redis_server: RedisServer) -> None:
    original = join(deploy(tmp_path / "a", redis_url=redis_server.url))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copy = join(make_settings(var_dir=tmp_path / "b", redis_url=redis_server.url))
    assert names(original) == names(copy)
    with structlog.testing.capture_logs() as logs:
        # A second process on one database is usual.
        register(original)
        register(original)
        assert logs == []
        register(copy)
    assert [line["event"] for line in logs] == ["another_database_uses_these_names"]


def register(settings: Settings) -> None:
    db = Database(settings)
    registration = DeploymentRegistration(settings, db)
    registration.register()
    registration.register()
    db.dispose()
