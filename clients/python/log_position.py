"""Decides which messages a client applies next: its position in an instance's log and the streamed text of steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypedDict

Payload = dict[str, Any]


class Since(TypedDict):
    """A position in an instance's log: the number of the last event applied, and the epoch of that number."""

    epoch: str
    seq: int


#: A `since` that no log has: the server answers it with a snapshot.
NO_POSITION = Since(epoch="", seq=0)
#: How many events that arrive before the answer to a subscription are kept.
MOST_EARLY = 10_000
#: How many tasks' live progress is remembered.
MOST_TASKS = 10_000
FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True)
class Decision:
    """What to apply now, in order, and whether to subscribe again."""

    apply: list[Payload] = field(default_factory=list)
    ask: bool = False


class LogPosition:
    """The position of one client in one instance's log: the client rule of docs/protocol.md, without a socket.

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
        self._early: list[Payload] = []
        self._live: dict[str, tuple[int, float]] = {}

    @property
    def since(self) -> Since | None:
        """What to subscribe with."""
        return self.last or (NO_POSITION if self.snapshot else None)

    @property
    def settled(self) -> bool:
        """Whether all events that the server had at the time of the subscription are applied."""
        return self.answered and (self.last["seq"] if self.last else 0) >= self.target

    def ask(self) -> None:
        """Await an answer: events that arrive out of turn before it are kept, since they may follow it."""
        self.answered = False
        self._early = []

    def receive(self, event: Payload) -> Decision:
        """Decide about a `task_update` or `execution_step`."""
        if "rev" in event:
            return self._receive_live(event)
        if "seq" not in event:
            return Decision([event])
        if self.last is None and (self.answered or not self.snapshot):
            self.last = Since(epoch=event["epoch"], seq=event["seq"] - 1)
        if self.last is not None and event["epoch"] == self.last["epoch"] and event["seq"] <= self.last["seq"]:
            return Decision()
        if self._is_next(event):
            return Decision([self._applied(event), *self._release()])
        if self.answered:
            return Decision(ask=True)
        if len(self._early) < MOST_EARLY:
            self._early.append(event)
        return Decision()

    def receive_answer(self, answer: Payload) -> Decision:
        """Decide about the acknowledgement of a subscription: `{mode, epoch, head}`."""
        self.answered = True
        if answer["mode"] == "snapshot" or self.last is None:
            self.last = Since(epoch=answer["epoch"], seq=answer["head"])
            self._live.clear()
        self.target = answer["head"]
        apply, last = self._release(), self.last
        # In a replay, the server sends the events that are left over again in their turn.
        has_early = any(e["epoch"] != last["epoch"] or e["seq"] > self.last["seq"] for e in self._early)
        self._early = []
        return Decision(apply, ask=has_early and answer["mode"] != "replay")

    def receive_head(self, epoch: str, seq: int) -> bool:
        """Return whether events are missing, by the number of the instance's last event."""
        if not self.answered:
            return False
        if self.last is None:
            self.last = Since(epoch=epoch, seq=seq)
        return epoch != self.last["epoch"] or seq > self.last["seq"]

    def receive_skip(self, skip: Payload) -> Decision:
        """Decide about a `skip`: numbers of events that are hidden from this client."""
        epoch, after, seq = skip["epoch"], skip["after"], skip["seq"]
        if self.last is None and (self.answered or not self.snapshot):
            self.last = Since(epoch=epoch, seq=after)
        if self.last is not None and epoch == self.last["epoch"] and after <= self.last["seq"]:
            self.last = Since(epoch=epoch, seq=max(seq, self.last["seq"]))
            return Decision(self._release())
        return Decision(ask=self.answered)

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
        in_order = sorted(self._early, key=lambda event: int(event["seq"]))
        return [self._applied(event) for event in in_order if self._is_next(event)]

    def _receive_live(self, event: Payload) -> Decision:
        """Decide about live progress, which has no number: the latest revision of the latest attempt counts."""
        if (event["attempt"], event["rev"]) <= self._live.get(event["task_id"], (0, -1.0)):
            return Decision()
        self._remember(event["task_id"], event["attempt"], event["rev"])
        return Decision([event])

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
    """The streamed texts of steps, joined from `step_output` messages."""

    def __init__(self) -> None:
        self._streams: dict[str, StepText] = {}

    def add(self, piece: Payload) -> StepText | None:
        """Add a piece. Returns the text known so far, or None when the piece holds nothing new."""
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
        """Forget a step's text up to this attempt: its event holds the finished output."""
        stream = self._streams.get(step_id)
        if stream is not None and (attempt is None or stream.attempt <= attempt):
            del self._streams[step_id]
