"""Generated Socket.IO events: each is answered, the connection stays open, no data of others is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.line import Surprise
from tests.fuzz.pair import ENV, KEPT, Tenant
from tests.harness.deployment import Deployment

pytestmark = pytest.mark.journey

EVENTS = ["subscribe_instance", "unsubscribe_instance", "subscribe_task", "unsubscribe_task", "refresh_token"]
KEYS = ["instance_id", "task_id", "since", "token", "epoch", "seq"]

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=10), inner),
    max_leaves=12,
)


@pytest.fixture
def pair(new_deployment: Callable[..., Deployment]) -> Iterator[tuple[Deployment, Tenant, Tenant]]:
    deployment = new_deployment(env=ENV)
    web = deployment.start_web()
    ann, bob = Tenant(deployment, web.url, "ann", "bob"), Tenant(deployment, web.url, "bob", "ann")
    bob.tasks.append(deployment.submit(bob.instance, "echo", {"message": bob.marker}, title=bob.marker))
    yield deployment, ann, bob
    ann.close()
    bob.close()


def payloads(ann: Tenant, bob: Tenant) -> st.SearchStrategy[Any]:
    """Payloads that are nearly right, and any other JSON."""
    ids = st.sampled_from([ann.instance, bob.instance, bob.tasks[0], "nowhere", "", "\x00", "a" * 300, "../x", 7, None])
    since = _json | st.fixed_dictionaries({"epoch": _json, "seq": _json})
    near = st.fixed_dictionaries({}, optional={"instance_id": ids, "task_id": ids, "since": since, "token": _json})
    return near | near | _json


@st.composite
def packets(draw: st.DrawFn, payload: st.SearchStrategy[Any]) -> str:
    """One message to the server: mostly events, with and without an acknowledgement, sometimes anything."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.sampled_from(["42", "4", "43", "431[]", "45", "451-[]", "42[", "40/x,", "44{}", "42{}", "6"]))
    if kind == 1:
        return "4" + draw(st.text(max_size=60))
    name = draw(st.sampled_from(EVENTS) | st.text(max_size=20))
    number = draw(st.sampled_from(["", "1", "99", "-1", "99999999999999999999"]))
    event = [name, *draw(st.lists(payload, min_size=0, max_size=2))]
    return f"42{number}" + json.dumps(event)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_event_breaks_the_server_or_shows_another_tenants(
    pair: tuple[Deployment, Tenant, Tenant], cases: int
) -> None:
    deployment, ann, bob = pair
    ended = 0

    @settings(
        max_examples=cases, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(packets(payloads(ann, bob)))
    def send(packet: str) -> None:
        nonlocal ended
        ann.received.clear()
        try:
            ann.line.send(packet)
            if packet.startswith("41"):
                raise Surprise("the server does not answer after the client has left the namespace")
            ann.emit("unsubscribe_instance", {"instance_id": "nowhere"})
        except Surprise:
            # An invalid packet ends the connection, as the protocol specifies.
            ended += 1
            ann.reconnect()
        assert len(ann.received) < KEPT
        for text in ann.received:
            assert bob.marker not in text
            assert '"code":"error"' not in text, (packet, text)
            assert bob.tasks[0] not in text or bob.tasks[0] in packet

    send()
    assert deployment.webs[0].is_running
    assert ann.emit("subscribe_instance", {"instance_id": ann.instance})["ok"]
    log = deployment.webs[0].log_text()
    assert "Traceback" not in log
    assert "event_failed" not in log
    assert ended < cases / 2
