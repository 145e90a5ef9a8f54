"""Clients with a restricted view receive its task and fields and nothing else, live or replayed, fast or slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.security.field_mask import FieldMask
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.masked_view import MaskedView
from swallowtail.app.delivery.streams.event_intake import make_entry
from tests.delivery.fake_stream import Scene
from tests.delivery.fakes import INSTANCE, FakeTransport, events_message, live_message, make_event

MINE, OTHERS = "mine", "others"
#: One task, without the fields that people write.
PAGE = FieldMask(MINE, frozenset({"output"}))
Received = tuple[str, dict[str, Any]]


def received(s: Scene, name: str) -> list[Received]:
    """Return the whole payloads that a client was sent, without the confirmations."""
    return [(f.event, dict(f.payload)) for f in s.transport.sent.get(name, ()) if f.event != "subscribed"]


def shown(events: Iterable[EventRecord]) -> list[Received]:
    """Return events as the page sees them."""
    return [(e.type, {**e.wire(), "data": {**e.data, "message": None}}) for e in events]


def live(progress: float, *, rev: int) -> Received:
    """Return live progress as the page sees it."""
    wire = {"instance_id": INSTANCE, "task_id": MINE, "type": "task_update", "attempt": 1, "rev": rev, "epoch": "one"}
    return "task_update", {**wire, "data": {"progress": progress, "message": None}}


def skip(after: int, seq: int, epoch: str = "one") -> Received:
    return "skip", {"instance_id": INSTANCE, "epoch": epoch, "after": after, "seq": seq}


def say(s: Scene, progress: float, *, base: int, rev: int, task: str = MINE) -> None:
    """Publish progress inside a step."""
    s.stream.receive(live_message(progress, base=base, rev=rev, task=task))
    s.stream.turn()


def write(s: Scene, count: int = 1, task: str = MINE, **more: Any) -> list[EventRecord]:
    """Commit events and publish them."""
    events = s.reader.write(count, task=task, **more)
    s.stream.receive(events_message(events))
    s.stream.turn()
    return events


def test_live_progress_is_limited_to_the_task_and_the_fields_of_the_view(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("page", view=PAGE)
    s.join("full")
    one = write(s)
    write(s, task=OTHERS)
    say(s, 10, base=2, rev=1, task=OTHERS)
    say(s, 20, base=1, rev=1)
    say(s, 30, base=2, rev=2, task=OTHERS)
    two = write(s)
    assert received(s, "page") == [*shown(one), skip(1, 2), live(20, rev=1), *shown(two)]
    assert s.story("full") == ["subscribed", "1", "2", "live 10", "live 20", "live 30", "3"]


def test_live_progress_of_other_tasks_alone_sends_nothing(scene: Callable[..., Scene]) -> None:
    s = scene(head_interval=3600)
    s.join("page", view=PAGE)
    for number in range(1, 50):
        say(s, number, base=0, rev=number, task=f"other {number % 5}")
    assert received(s, "page") == []
    assert s.stream.lagging_count == 0


def test_replays_from_memory_and_from_the_database_are_the_same_view(scene: Callable[..., Scene]) -> None:
    s = scene(ring_events=10, client_backlog=500)
    s.join("full")
    own_events: list[EventRecord] = []
    for _ in range(10):
        write(s, 3, task=OTHERS)
        own_events += write(s)
    expected = [each for e in own_events for each in (skip(e.seq - 4, e.seq - 1), *shown([e]))]
    s.join("page", since=0, view=PAGE)
    s.stream.turn()
    assert s.reader.reads
    assert received(s, "page") == expected
    reads = len(s.reader.reads)
    s.join("late", since=32, view=PAGE)
    s.stream.turn()
    assert len(s.reader.reads) == reads
    assert received(s, "late") == expected[-4:]


def test_a_gap_is_filled_with_the_one_task_only(scene: Callable[..., Scene]) -> None:
    s = scene()
    s.join("page", view=PAGE)
    lost = s.reader.write(2, task=MINE)
    s.reader.write(3, task=OTHERS)
    last = s.reader.write(1, task=MINE)
    s.stream.receive(events_message(last))
    s.stream.turn()
    assert s.reader.reads == [0]
    assert received(s, "page") == [*shown(lost), skip(2, 5), *shown(last)]
    s.reader.write(2, task=OTHERS)
    s.check()
    assert received(s, "page")[-1] == skip(6, 8)


def test_heads_and_resets_show_a_position_and_nothing_else(scene: Callable[..., Scene]) -> None:
    s = scene(head_interval=0.000001)
    s.reader.write(4, task=OTHERS)
    s.join("page", view=PAGE)
    s.stream.turn()
    assert received(s, "page") == [("head", {"instance_id": INSTANCE, "epoch": "one", "seq": 4})]
    s.reader.begin_epoch("two", seq=7)
    s.check()
    s.reader.exists = False
    s.check()
    events = [each for each in received(s, "page") if each[0] != "head"]
    assert events == [
        ("reset", {"instance_id": INSTANCE, "reason": "epoch"}),
        ("reset", {"instance_id": INSTANCE, "reason": "revoked"}),
    ]


def test_pruned_events_reset_a_masked_view_too(scene: Callable[..., Scene]) -> None:
    s = scene(ring_events=10)
    s.join("full")
    write(s, 30, task=OTHERS)
    s.join("page", since=2, view=PAGE)
    s.reader.prune(15)
    s.stream.turn()
    last = write(s)
    reset = ("reset", {"instance_id": INSTANCE, "reason": "too_old"})
    assert received(s, "page") == [reset, skip(15, 30), *shown(last)]


def test_a_stalled_view_waits_without_cost_and_converges(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16, ring_events=20)
    for name in ("slow", "quick"):
        s.join(name, view=PAGE)
    s.join("full")
    s.transport.stall("slow")
    own_events: list[EventRecord] = []
    for number in range(1, 61):
        write(s, 2, task=OTHERS)
        own_events += write(s)
        say(s, number, base=own_events[-1].seq, rev=number)
    before = len(received(s, "slow"))
    assert before <= 16 + 2
    s.transport.drain("slow")
    for _ in range(40):
        s.stream.turn()
    expected = [each for e in own_events for each in (skip(e.seq - 3, e.seq - 1), *shown([e]))]
    slow = received(s, "slow")
    durable = [each for each in slow if "rev" not in each[1]]
    # The number of hidden events in one `skip` depends on how many arrived at once.
    assert [each for each in durable if each[0] != "skip"] == [each for each in expected if each[0] != "skip"]
    assert_contiguous(durable)
    revs = [payload["rev"] for _, payload in slow if "rev" in payload]
    assert revs == sorted(set(revs))
    assert slow[-1] == live(60, rev=60)
    quick = received(s, "quick")
    assert [each for each in quick if "rev" not in each[1]] == expected
    assert [payload["rev"] for _, payload in quick if "rev" in payload] == list(range(1, 61))
    assert s.transport.numbers("full") == list(range(1, 181))
    assert s.stream.lagging_count == 0


def test_a_view_that_is_too_slow_for_too_long_is_reset(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16, replay_limit=50)
    s.join("slow", view=PAGE)
    s.join("quick", view=PAGE)
    s.transport.stall("slow")
    s.transport.waiting["slow"] = 16
    # Hidden events alone: the position is the instance's.
    for _ in range(30):
        write(s, 2, task=OTHERS)
    assert [payload["reason"] for event, payload in received(s, "slow") if event == "reset"] == ["lag"]
    s.transport.drain("slow")
    s.join("slow", since=60)
    last = write(s)
    assert received(s, "slow")[-1:] == shown(last)
    assert received(s, "quick")[-1:] == shown(last)


def test_live_states_that_a_view_took_in_part_are_not_sent_again(scene: Callable[..., Scene]) -> None:
    s = scene(client_backlog=16)
    fields = FieldMask(None, frozenset({"output"}))
    s.join("page", view=fields)
    # Not sent before the event that precedes them, so that all are sent at once.
    event = s.reader.write(1, task="e")
    for number in range(5):
        s.stream.receive(live_message(10 + number, base=1, rev=1, task=f"t{number}"))
    s.transport.stall("page")
    s.transport.waiting["page"] = 13
    s.stream.turn()
    assert len(received(s, "page")) == 3
    s.transport.drain("page")
    for _ in range(3):
        s.stream.turn()
    assert received(s, "page")[:1] == shown(event)
    assert [payload["task_id"] for _, payload in received(s, "page")[1:]] == [f"t{number}" for number in range(5)]


def test_a_masked_view_keeps_a_limited_number_of_frames_and_bytes() -> None:
    transport = FakeTransport()
    view = FieldMask(None, frozenset({"output"}))
    mask = MaskedView(INSTANCE, view, transport, 1000)
    cursor = Cursor(Client("c"), "one", 0)
    for seq in range(1, 100):
        mask.collect(cursor, [make_entry(transport, make_event(seq).wire())], 16)
    assert len(mask._derived) == 5
    assert mask._cached_bytes == 1000
    tiny = MaskedView(INSTANCE, view, transport, 1)
    frames, _ = tiny.collect(Cursor(Client("c"), "one", 0), [make_entry(transport, make_event(1).wire())], 16)
    assert (len(frames), len(tiny._derived), tiny._cached_bytes) == (1, 0, 0)


def assert_contiguous(durable: list[Received]) -> None:
    """Every number is covered once, by its event or by a `skip`."""
    place = 0
    for event, payload in durable:
        assert (payload["after"] if event == "skip" else payload["seq"] - 1) == place
        place = payload["seq"]
