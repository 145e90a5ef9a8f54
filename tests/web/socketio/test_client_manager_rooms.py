"""The rooms of the message queue: what the stock manager knows, at a cost that does not grow with everybody else's."""

from __future__ import annotations

from types import SimpleNamespace

from swallowtail.app.web.socketio.client_manager import ClientManager
from tests.harness.settings import make_settings


def make_queue() -> ClientManager:
    queue = ClientManager(make_settings())
    ids = iter(f"sid{number}" for number in range(100))
    queue.server = SimpleNamespace(eio=SimpleNamespace(generate_id=lambda: next(ids)))
    return queue


def test_a_connection_that_is_gone_leaves_nothing_behind() -> None:
    queue = make_queue()
    one, two = (queue.connect(f"eio{number}", "/") for number in range(2))
    for sid in (one, two):
        queue.enter_room(sid, "/", "instance_a")
    queue.enter_room(one, "/", "instance_b")
    queue.leave_room(two, "/", "instance_a")
    assert set(queue.get_rooms(one, "/")) == {one, "instance_a", "instance_b"}
    assert set(queue.get_rooms(two, "/")) == {two}
    queue.pre_disconnect(one, "/")
    queue.disconnect(one, "/", ignore_queue=True)
    assert queue.get_rooms(one, "/") == []
    assert set(queue.rooms["/"]) == {None, two}
    assert (queue.pending_connect, queue.pending_disconnect) == ({}, {})
    queue.disconnect(two, "/", ignore_queue=True)
    assert queue.rooms == {}
