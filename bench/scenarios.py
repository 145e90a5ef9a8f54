"""Defines the loads of the benchmark, and the goal of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.systems import BareSends, FlaskSocketIO, NodeSocketIO, NodeStreams, Swallowtail, System

Figures = dict[str, float]
#: By system; one that always failed has none.
Outcome = Mapping[str, Figures]

OURS, STOCK, NODE = Swallowtail.name, FlaskSocketIO.name, NodeSocketIO.name


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach. `reached` is only called if every system that it compares has figures."""

    text: str
    reached: Callable[[Outcome], bool]
    peers: Sequence[str] = ()

    def is_reached(self, outcome: Outcome) -> bool | None:
        """Return whether the goal is reached; None if figures are missing."""
        if not all(outcome.get(name) for name in (OURS, *self.peers)):
            return None
        return self.reached(outcome)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load. `rate` is events per room and second (0: a burst), `seconds` how long; `emitters` share the rooms."""

    name: str
    clients: int
    rooms: int = 1
    rate: int = 0
    seconds: float = 8.0
    burst: int = 0
    emitters: int = 1
    measure: str = "fan_out"
    systems: Sequence[type[System]] = field(default=(Swallowtail, FlaskSocketIO, NodeSocketIO))
    goals: Sequence[Goal] = ()

    @property
    def events(self) -> int:
        """The number of events for each room."""
        return self.burst or round(self.rate * self.seconds)

    def shortened(self) -> Scenario:
        """Return the same load, shortened."""
        return replace(self, seconds=3.0)


def _at_most(figure: str, most: float, text: str) -> Goal:
    return Goal(text, lambda outcome: outcome[OURS][figure] <= most)


def _at_most_share(peer: str, figure: str, share: float, text: str) -> Goal:
    return Goal(text, lambda outcome: outcome[OURS][figure] <= outcome[peer][figure] * share, (peer,))


CPU_GOAL = _at_most("cpu_us", 6, "at most 6 µs of CPU per delivery")
NONE_LOST = Goal("none lost, none twice", lambda outcome: not outcome[OURS]["lost_pct"] + outcome[OURS]["repeated"])

WITH_BARE = (Swallowtail, BareSends, FlaskSocketIO, NodeSocketIO)

SCENARIOS = [
    Scenario(
        "200 clients x 100/s", 200, rate=100, systems=WITH_BARE, goals=[CPU_GOAL, NONE_LOST]
    ),
    Scenario(
        "1,000 clients x 20/s", 1000, rate=20, systems=WITH_BARE, goals=[CPU_GOAL, NONE_LOST]
    ),
    Scenario(
        "3,000 clients x 5/s",
        3000,
        rate=5,
        systems=WITH_BARE,
        goals=[
            _at_most("cpu_us", 7, "at most 7 µs of CPU per delivery"),
            _at_most("p50_ms", 20, "half of them within 20 ms"),
            NONE_LOST,
        ],
    ),
    Scenario(
        "burst 2,000 to 200",
        200,
        burst=2000,
        goals=[_at_most("cpu_us", 1.2, "at most 1.2 µs of CPU per delivery"), NONE_LOST],
    ),
    Scenario(
        "20 rooms x 50 x 20/s, 4 emitters",
        1000,
        rooms=20,
        rate=20,
        emitters=4,
        systems=WITH_BARE,
        goals=[
            _at_most_share(NODE, "cpu_us", 1, "less CPU than Node"),
            _at_most_share(STOCK, "cpu_us", 1, "less CPU than stock"),
            _at_most_share(NODE, "p50_ms", 1, "sooner than Node (p50)"),
            _at_most_share(STOCK, "p50_ms", 1, "sooner than stock (p50)"),
            NONE_LOST,
        ],
    ),
    Scenario(
        "3,000 connect, subscribe, idle",
        3000,
        measure="connect",
        goals=[
            _at_most_share(NODE, "seconds", 1, "no longer than Node"),
            _at_most_share(NODE, "kb_per_client", 1.5, "at most 1.5 times Node's memory"),
        ],
    ),
    Scenario(
        "10,000 connect, subscribe, idle", 10_000, measure="connect", systems=(Swallowtail,),
        goals=[Goal("all of them in one process", lambda outcome: outcome[OURS]["connected"] == 10_000)],
    ),
    Scenario(
        "resume 500 missed, 1,000 clients",
        1000,
        burst=500,
        measure="resume",
        systems=(Swallowtail, NodeStreams),
        goals=[_at_most_share(NodeStreams.name, "seconds", 0.5, "at most half of Node's time"), NONE_LOST],
    ),
]  # fmt: skip
