"""Where a client stands in an instance's log, and what arriving messages mean there: bookkeeping without any socket.

The far end of an event's road: `socket_connection` → `task_websocket_client` → here → the handlers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

Payload = dict[str, Any]


class Since(TypedDict):
    """A place in an instance's log: the number of the last event applied, and whose number it is."""

    epoch: str
    seq: int


#: A `since` that no log has: the server answers it with a snapshot.
NOWHERE = Since(epoch="", seq=0)
#: Events that arrive before the answer to a subscription are kept for it, up to this many.
MOST_HELD = 10_000
#: Tasks whose live progress is remembered.
MOST_TASKS = 10_000
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True)
class Verdict:
    """What to apply now, in order, and whether to subscribe again."""

    apply: list[Payload] = field(default_factory=list)
    ask: bool = False


class LogPosition:
    """Where one client stands in one instance's log: the client rule of docs/protocol.md, without any socket.

    Drop `seq` <= last; apply last + 1; at anything else, ask again with `since`.
    """

    def __init__(self, since: Since | None = None, *, snapshot: bool = False) -> None:
        """Continue after `since`, begin with a `snapshot`, or begin with what comes after the subscription."""
        self.last = since
        self.snapshot = snapshot
        #: Whether the server has answered on this connection.
        self.answered = False
        #: The head that the server named in its answer; everything up to it is catching up.
        self.target = 0
        self._held: list[Payload] = []
        self._live: dict[str, tuple[int, float]] = {}

    @property
    def since(self) -> Since | None:
        """What to subscribe with."""
        return self.last or (NOWHERE if self.snapshot else None)

    @property
    def settled(self) -> bool:
        """Whether everything that the server had at the time of the subscription has been applied."""
        return self.answered and (self.last["seq"] if self.last else 0) >= self.target

    def ask(self) -> None:
        """A subscription is on its way: what arrives out of turn until the answer may belong behind it."""
        self.answered = False
        self._held = []

    def take(self, event: Payload) -> Verdict:
        """Judge a `task_update` or `execution_step`."""
        if "rev" in event:
            return self._take_live(event)
        if "seq" not in event:
            return Verdict([event])
        if self.last is None and (self.answered or not self.snapshot):
            self.last = Since(epoch=event["epoch"], seq=event["seq"] - 1)
        if self.last is not None and event["epoch"] == self.last["epoch"] and event["seq"] <= self.last["seq"]:
            return Verdict()
        if self._is_next(event):
            return Verdict([self._applied(event), *self._release()])
        if self.answered:
            return Verdict(ask=True)
        if len(self._held) < MOST_HELD:
            self._held.append(event)
        return Verdict()

    def answer(self, answer: Payload) -> Verdict:
        """Take the acknowledgement of a subscription: `{mode, epoch, head}`."""
        self.answered = True
        if answer["mode"] == "snapshot" or self.last is None:
            self.last = Since(epoch=answer["epoch"], seq=answer["head"])
            self._live.clear()
        self.target = answer["head"]
        apply, last = self._release(), self.last
        # In a replay, whatever is left over is sent again in its turn.
        left = any(e["epoch"] != last["epoch"] or e["seq"] > self.last["seq"] for e in self._held)
        self._held = []
        return Verdict(apply, ask=left and answer["mode"] != "replay")

    def take_head(self, epoch: str, seq: int) -> bool:
        """Take the number of the instance's last event, told to an idle room; whether something was missed."""
        if not self.answered:
            return False
        if self.last is None:
            self.last = Since(epoch=epoch, seq=seq)
        return epoch != self.last["epoch"] or seq > self.last["seq"]

    def take_skip(self, skip: Payload) -> Verdict:
        """Take a `skip`: events that are not shown to this client."""
        epoch, after, seq = skip["epoch"], skip["after"], skip["seq"]
        if self.last is None and (self.answered or not self.snapshot):
            self.last = Since(epoch=epoch, seq=after)
        if self.last is not None and epoch == self.last["epoch"] and after <= self.last["seq"]:
            self.last = Since(epoch=epoch, seq=max(seq, self.last["seq"]))
            return Verdict(self._release())
        return Verdict(ask=self.answered)

    def _is_next(self, event: Payload) -> bool:
        last = self.last
        return last is not None and event["epoch"] == last["epoch"] and bool(event["seq"] == last["seq"] + 1)

    def _applied(self, event: Payload) -> Payload:
        self.last = Since(epoch=event["epoch"], seq=event["seq"])
        attempt, rev = self._live.get(event["task_id"], (0, -1.0))
        if event["attempt"] > attempt:
            attempt, rev = event["attempt"], -1.0
        if event["data"].get("status") in FINAL:
            rev = float("inf")
        self._remember(event["task_id"], attempt, rev)
        return event

    def _release(self) -> list[Payload]:
        in_order = sorted(self._held, key=lambda event: int(event["seq"]))
        return [self._applied(event) for event in in_order if self._is_next(event)]

    def _take_live(self, event: Payload) -> Verdict:
        """Live progress has no number: the latest revision of the latest attempt wins."""
        if (event["attempt"], event["rev"]) <= self._live.get(event["task_id"], (0, -1.0)):
            return Verdict()
        self._remember(event["task_id"], event["attempt"], event["rev"])
        return Verdict([event])

    def _remember(self, task_id: str, attempt: int, rev: float) -> None:
        self._live.pop(task_id, None)
        self._live[task_id] = (attempt, rev)
        if len(self._live) > MOST_TASKS:
            del self._live[next(iter(self._live))]


@dataclass
class StepText:
    """The text that a running step has streamed so far, known from character `start` on."""

    attempt: int
    start: int
    text: str = ""

    @property
    def end(self) -> int:
        """How many characters the step has streamed."""
        return self.start + len(self.text)


class StepTexts:
    """Streamed texts, put together from `step_output` messages."""

    def __init__(self) -> None:
        self._streams: dict[str, StepText] = {}

    def take(self, piece: Payload) -> StepText | None:
        """Add a piece; the text known so far, or None when it brought nothing new."""
        stream, attempt, offset = self._streams.get(piece["step_id"]), piece["attempt"], piece["offset"]
        if stream is not None and attempt < stream.attempt:
            return None
        if stream is None or attempt > stream.attempt or not stream.start <= offset <= stream.end:
            stream = StepText(attempt, offset)
        fresh = piece["text"][stream.end - offset :]
        if not fresh:
            return None
        stream = StepText(attempt, stream.start, stream.text + fresh)
        self._streams[piece["step_id"]] = stream
        return stream

    def forget(self, step_id: str, attempt: int | None = None) -> None:
        """Forget a step's text up to this attempt: its durable event holds the finished output."""
        stream = self._streams.get(step_id)
        if stream is not None and (attempt is None or stream.attempt <= attempt):
            del self._streams[step_id]
