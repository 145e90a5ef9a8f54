"""The client manager keeps rooms as the stock one does, at a cost that does not grow with other clients' rooms."""

from __future__ import annotations

from types import SimpleNamespace

from swallowtail.app.web.socketio.client_manager import ClientManager
from tests.harness.settings import make_settings


def make_manager() -> ClientManager:
    manager = ClientManager(make_settings())
    ids = iter(f"sid{number}" for number in range(100))
    manager.server = SimpleNamespace(eio=SimpleNamespace(generate_id=lambda: next(ids)))
    return manager


def test_a_closed_connection_leaves_nothing_behind() -> None:
    manager = make_manager()
    one, two = (manager.connect(f"eio{number}", "/") for number in range(2))
    for sid in (one, two):
        manager.enter_room(sid, "/", "instance_a")
    manager.enter_room(one, "/", "instance_b")
    manager.leave_room(two, "/", "instance_a")
    assert set(manager.get_rooms(one, "/")) == {one, "instance_a", "instance_b"}
    assert set(manager.get_rooms(two, "/")) == {two}
    manager.pre_disconnect(one, "/")
    manager.disconnect(one, "/", ignore_queue=True)
    assert manager.get_rooms(one, "/") == []
    assert set(manager.rooms["/"]) == {None, two}
    assert (getattr(manager, "pending_connect", {}), manager.pending_disconnect) == ({}, {})
    manager.disconnect(two, "/", ignore_queue=True)
    assert manager.rooms == {}
