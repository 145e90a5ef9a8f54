"""The load client: thousands of raw WebSocket connections in one epoll loop, cheap enough not to limit the measurement.

Runs as a process of its own (`python -m bench.load`) that reads commands as JSON lines and answers with JSON lines:

- `{"do": "connect", "port", "clients", "rooms", "window"}` opens clients, client i in room `room-<i mod rooms>`, at
  most `window` handshakes at a time; answers `{"seconds", "connected"}` once all are subscribed.
- `{"do": "collect", "per_client", "patience"}` reads until every client has received `per_client` more events, or
  nothing has arrived for `patience` seconds; answers counts and its own CPU seconds.
- `{"do": "time", "commits"}` answers the latencies of the last reading in milliseconds: since the commit of each event,
  or since it was sent if `commits` does not contain it.
- `{"do": "drop"}` closes every connection and stores each client's position; `{"do": "resume", …}` reconnects all.
- `{"do": "quit"}`.

Received data is stored with its time and parsed later (`bench/arrivals.py`): a client that is slower than the server
would measure itself.
"""

from __future__ import annotations

import gc
import json
import resource
import select
import sys
import time
from typing import Any

from bench.arrivals import SIGN, Commits, ReceivedEvents, percentile, read
from bench.client import PING, PONG, LoadClient, Phase, frame

#: Sockets that are handled in one iteration.
AT_ONCE = 1024
#: Seconds without a new connection after which the remaining clients are abandoned.
PATIENCE = 20.0


class Load:
    """All clients of one run."""

    def __init__(self) -> None:
        self.poller = select.epoll()
        self.clients: list[LoadClient] = []
        self.by_fd: dict[int, LoadClient] = {}
        self.port = 0
        self.ready = 0
        self.opening = 0
        self.signs = 0
        #: By client, in the order of `clients`.
        self.readings: list[ReceivedEvents] = []
        self.buffer = bytearray(1 << 18)
        self.view = memoryview(self.buffer)

    def connect(self, clients: int, rooms: int | list[str], window: int) -> dict[str, Any]:
        """Open clients until all are subscribed; `rooms` is the number of rooms, or their names."""
        names = [f"room-{place}" for place in range(rooms)] if isinstance(rooms, int) else rooms
        self.clients = [LoadClient(names[place % len(names)]) for place in range(clients)]
        used = _cpu()
        answer = self._open_all(window)
        self._store_positions()
        return {**answer, "client_cpu_s": _cpu() - used}

    def _open_all(self, window: int) -> dict[str, Any]:
        began = last_news = time.monotonic()
        self.ready = self.opening = last_ready = 0
        waiting = list(reversed(self.clients))
        while self.ready < len(self.clients) and time.monotonic() - last_news < PATIENCE:
            while waiting and self.opening - self.ready < window:
                self._open(waiting.pop())
                self.opening += 1
            self._turn(1.0)
            if self.ready != last_ready:
                last_ready, last_news = self.ready, time.monotonic()
        return {"seconds": time.monotonic() - began, "connected": self.ready}

    def _open(self, client: LoadClient) -> None:
        client.open(self.port)
        self.by_fd[client.sock.fileno()] = client
        self.poller.register(client.sock.fileno(), select.EPOLLOUT)

    def _turn(self, timeout: float) -> None:
        """Receive what has arrived. This loop runs during the measurement, so it does as little as possible."""
        by_fd, buffer, view, clock, live = self.by_fd, self.buffer, self.view, time.time_ns, Phase.LIVE
        for fd, _ in self.poller.poll(timeout, AT_ONCE):
            client = by_fd[fd]
            if client.phase is Phase.CONNECTING:
                self._send_upgrade(client)
                continue
            try:
                size = client.sock.recv_into(buffer)
            except BlockingIOError:
                continue
            except OSError:
                size = 0
            if not size:
                self._remove(client)
                continue
            piece = bytes(view[:size])
            arrivals = client.arrivals
            arrivals.times.append(clock())
            arrivals.pieces.append(piece)
            self.signs += piece.count(SIGN)
            if PING in piece:
                client.sock.send(frame(PONG))
            if client.phase is not live and client.advance(piece):
                self.ready += 1

    def _send_upgrade(self, client: LoadClient) -> None:
        if client.send_upgrade(self.port):
            self.poller.modify(client.sock.fileno(), select.EPOLLIN)
        else:
            self._remove(client)
            self._open(client)

    def _remove(self, client: LoadClient) -> None:
        fd = client.sock.fileno()
        self.poller.unregister(fd)
        del self.by_fd[fd]
        client.sock.close()
        client.phase = Phase.LOST

    def _store_positions(self) -> None:
        """Store the position of every client, and discard what it has received."""
        for client in self.clients:
            self._read(client)
        self.signs = 0

    def _read(self, client: LoadClient) -> ReceivedEvents:
        reading = read(client.arrivals, client.last)
        client.arrivals.clear()
        client.last, client.offset = reading.last, reading.offset or client.offset
        return reading

    def collect(self, per_client: int, patience: float) -> dict[str, Any]:
        """Read until every client has `per_client` more events, or nothing arrives any more."""
        self._store_positions()
        return self._take(per_client, patience, time.monotonic(), _cpu())

    def _take(self, per_client: int, patience: float, began: float, used: float) -> dict[str, Any]:
        goal, last_news = per_client * len(self.clients), time.monotonic()
        gc.disable()
        while (have := self.signs) < 2 * goal and time.monotonic() - last_news < patience:
            self._turn(0.5)
            if self.signs != have:
                last_news = time.monotonic()
        seconds, used = time.monotonic() - began, _cpu() - used
        gc.enable()
        return {**self._summarize(goal), "seconds": seconds, "client_cpu_s": used}

    def _summarize(self, goal: int) -> dict[str, Any]:
        self.readings = [self._read(client) for client in self.clients]
        delivered = sum(len(reading.numbers) for reading in self.readings)
        self.signs = 0
        return {
            "expected": goal,
            "delivered": delivered,
            "lost": goal - delivered,
            "repeated": sum(reading.repeats for reading in self.readings),
            "gaps": sum(reading.gaps for reading in self.readings),
            "disconnected": sum(client.phase is Phase.LOST for client in self.clients),
        }

    def time(self, commits: Commits) -> dict[str, Any]:
        """Return the latencies of the last reading, from commit times by room and number."""
        rooms = [commits.get(client.room, {}) for client in self.clients]
        pairs = list(zip(self.readings, rooms, strict=True))
        latencies = sorted(value for reading, room in pairs for value in reading.latencies(room))
        pauses = sorted(value for reading, room in pairs for value in reading.pauses(room))
        return {
            "p50_ms": percentile(latencies, 0.5),
            "p99_ms": percentile(latencies, 0.99),
            "max_ms": percentile(latencies, 1.0),
            "commit_ms": percentile(pauses, 0.5) if pauses else 0.0,
        }

    def drop(self) -> dict[str, Any]:
        """Close every connection, keeping each client's position."""
        self._store_positions()
        for client in self.clients:
            if client.phase is not Phase.LOST:
                self._remove(client)
        return {"dropped": len(self.clients)}

    def resume(self, per_client: int, window: int, patience: float) -> dict[str, Any]:
        """Reconnect every client at its position and read `per_client` missed events each."""
        began, used = time.monotonic(), _cpu()
        for client in self.clients:
            client.resuming = True
        opened = self._open_all(window)
        return {**self._take(per_client, patience, began, used), "connected": opened["connected"]}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Execute the commands on stdin until `quit` or the end."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    load = Load()
    for line in sys.stdin:
        order = json.loads(line)
        do = order.pop("do")
        if do == "quit":
            break
        load.port = order.pop("port", load.port)
        answer = getattr(load, do)(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
