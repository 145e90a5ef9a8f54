"""Who watches what in one web process, and how the news gets to them. On the road between Redis and the sockets.

Each watched instance has a `watch` with a pump of its own. The hub begins and ends watches with their clients, hands
them what the `listener` hears, and has all of them compared with the database once a second (`head_check`): Redis may
be away as long as it likes. `web/socketio/handlers` calls the hub; nothing here knows Socket.IO.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import WHEN_FULL, Forbidden, NotFound, TooMany
from swallowtail.app.core.ledger.publisher import access_channel, instance_channel, task_channel
from swallowtail.app.core.security.field_mask import View, view_of
from swallowtail.app.core.security.message_signing import Voucher
from swallowtail.app.core.security.permissions import OPEN, Actor
from swallowtail.app.delivery.cursor import Client
from swallowtail.app.delivery.database_reader import Archive
from swallowtail.app.delivery.head_check import HeadCheck
from swallowtail.app.delivery.instance_stream import Watch
from swallowtail.app.delivery.metrics import CLIENTS, CURSORS_BEHIND, HINTS, RESETS, SNAPSHOTS, WATCHED
from swallowtail.app.delivery.permission_cache import Passes
from swallowtail.app.delivery.redis.loop_reader import Loop
from swallowtail.app.delivery.redis.self_check import Hearing, Probe
from swallowtail.app.delivery.redis.subscriber import Listener
from swallowtail.app.delivery.single_flight import Openings
from swallowtail.app.delivery.snapshot_cache import Snapshots
from swallowtail.app.delivery.text_streams import Texts
from swallowtail.app.delivery.wire import RESET, Answer, Reason, Since, Transport, reset_payload


class Hub:
    """The stream's half of one web process. All methods may be called from any thread."""

    def __init__(self, settings: Settings, archive: Archive, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self.archive = archive
        self._snapshots = Snapshots(archive, settings.snapshot_share)
        #: Who may watch what, as far as it is known.
        self.passes = Passes(archive)
        self._texts = Texts(transport)
        self._voucher = Voucher(settings, is_strict=settings.strict_delivery)
        self._listener = Listener(settings, self._hear, self._joined)
        self._probe = Probe(settings, self._listener)
        #: Innermost lock: nothing is waited for and nothing is sent while it is held.
        self._lock = threading.Lock()
        self._clients: dict[str, Client] = {}
        self._watches: dict[str, Watch] = {}
        self._openings = Openings()
        self.check = HeadCheck(settings, archive, self._watches, self._snapshots.tidy)
        #: Called when somebody's access may have changed.
        self.on_access: Callable[[], None] = lambda: None
        self._access = access_channel(settings)
        self._instances = instance_channel(settings, "")
        self._tasks = task_channel(settings, "")

    @property
    def is_running(self) -> bool:
        """Whether events are being delivered."""
        return self.check.is_running

    @property
    def hears_redis(self) -> bool:
        """Whether hints arrive; without them events are still delivered, up to `head_check` later."""
        return self._listener.is_connected

    @property
    def hearing(self) -> Hearing:
        """What the probe through Redis says."""
        return self._probe.hearing

    def measure(self) -> None:
        """Bring the gauges up to date that nobody keeps."""
        CURSORS_BEHIND.set(sum(watch.behind for watch in list(self._watches.values())))

    def start(self, loop: Loop | None = None) -> None:
        """Begin to listen and to compare with the database. Neither has to be there yet.

        `loop` is where Redis is heard, if there is one; otherwise it is heard in a thread.
        """
        self._listener.add(self._access)
        self._listener.start(loop)
        self._probe.start()
        self.check.start()

    def stop(self) -> None:
        """Stop listening and comparing; watches end with their clients."""
        self.check.stop()
        self._probe.stop()
        self._listener.stop()

    def enter(self, client_id: str, actor: Actor = OPEN) -> None:
        """Note a new connection, and whose it is."""
        line = self._transport.line(client_id)
        client = Client(client_id, line=line, actor=actor, view=view_of(actor))
        with self._lock:
            self._clients[client_id] = client
        CLIENTS.set(len(self._clients))

    def leave(self, client_id: str) -> None:
        """Forget a connection and all it watched. May be called in the middle of a send."""
        with self._lock:
            client = self._clients.pop(client_id, None)
            if client is None:
                return
            client.gone = True
            watches, tasks = list(client.watches.values()), list(client.tasks)
        CLIENTS.set(len(self._clients))
        for watch in watches:
            watch.leave(client)
        for task_id in tasks:
            self._stop_reading(client, task_id)

    def subscribe(self, client_id: str, instance_id: str, since: Since | None, greet: Callable[[Answer], None]) -> None:
        """Begin to deliver an instance to a client, after `since` or from now on.

        `greet` is called with the answer before anything that follows it is sent. A client that is subscribed already
        continues where it stands, or after `since` if that is given.

        Raises:
            NotFound: there is no such instance, or none for this client, or no such connection any more.
            Unauthenticated, Forbidden: the client may not.
            TooMany: the client watches as much as it may.
            Unavailable: the database is away.
        """
        client = self._find(client_id)
        version = self.passes.ask(client.actor, instance_id)
        if self.subscribe_now(client_id, instance_id, since, greet):
            return
        with self._openings.enter(instance_id):
            # Whoever came back with this client may have had the instance read meanwhile.
            if self.subscribe_now(client_id, instance_id, since, greet):
                return
            client = self._find(client_id)
            if client.view.is_full:
                answer = self._snapshots.keep(self.archive.read_answer(instance_id, since))
            else:
                answer = self.archive.read_answer_for(client.view, instance_id, since)
            if answer.snapshot is not None:
                SNAPSHOTS.labels("read").inc()
            watch = self._hold(instance_id, answer)
            try:
                watch.place(client, answer, move=since is not None, greet=greet)
                self._note(client, watch, version)
            finally:
                self._release(watch)
            watch.wake()

    def subscribe_now(
        self, client_id: str, instance_id: str, since: Since | None, greet: Callable[[Answer], None]
    ) -> bool:
        """Do what `subscribe` does if that takes no reading, and tell whether it was done. Waits for nothing.

        Raises:
            NotFound: there is no such connection any more.
            TooMany: the client watches as much as it may.
        """
        client = self._find(client_id)
        version = self.passes.version
        if not self.passes.holds(client.actor, instance_id):
            return False
        self._check_number(client, instance_id in client.watches)
        with self._lock:
            watch = self._watches.get(instance_id)
            if watch is None:
                return False
            watch.holds += 1
        try:
            snapshot = self._snapshots.find(instance_id, since) if client.view.is_full else None
            room = self._settings.replay_limit
            if not watch.place_now(client, since, room=room, snapshot=snapshot, greet=greet):
                return False
            self._note(client, watch, version)
        finally:
            self._release(watch)
        return True

    def drained(self, client_id: str) -> None:
        """Go on with a client that takes messages again."""
        with self._lock:
            client = self._clients.get(client_id)
            watches = list(client.watches.values()) if client is not None else []
        for watch in watches:
            watch.wake()

    def _note(self, client: Client, watch: Watch, version: int) -> None:
        with self._lock:
            client.watches[watch.instance_id] = watch
            gone = client.gone
        self.passes.confirm(version)
        if gone:
            watch.leave(client)

    def _release(self, watch: Watch) -> None:
        with self._lock:
            watch.holds -= 1
        if watch.is_idle:
            # Its pump may have found it held when it wanted to end.
            watch.wake()

    def unsubscribe(self, client_id: str, instance_id: str, farewell: Callable[[], None]) -> None:
        """Stop delivering an instance to a client. Nothing of it follows `farewell`, which is called in any case."""
        client = self._find(client_id)
        with self._lock:
            watch = client.watches.pop(instance_id, None)
        if watch is None:
            farewell()
        else:
            watch.remove(client, farewell)

    def subscribe_task(self, client_id: str, task_id: str, greet: Callable[[], None]) -> None:
        """Begin to pass a task's streamed text on to a client, which is greeted once it is sure to be let in.

        Raises:
            NotFound: there is no such task, or none for this client, or no such connection any more.
            Unauthenticated, Forbidden: the client may not, or is not shown texts.
            TooMany: the client watches as much as it may.
            Unavailable: the database is away.
        """
        client = self._find(client_id)
        self._check_number(client, task_id in client.tasks)
        version = self.passes.version
        instance_id = self.archive.allow_text(client.actor, task_id)
        if not client.view.shows_text:
            raise Forbidden("this token does not show the text of steps")
        greet()
        first = self._texts.join(client, task_id)
        with self._lock:
            client.tasks[task_id] = instance_id
            gone = client.gone
        self.passes.confirm(version)
        if first:
            self._listener.add(task_channel(self._settings, task_id))
        if gone:
            self._stop_reading(client, task_id)

    def unsubscribe_task(self, client_id: str, task_id: str) -> None:
        """Stop passing a task's text on to a client."""
        client = self._find(client_id)
        with self._lock:
            client.tasks.pop(task_id, None)
        self._stop_reading(client, task_id)

    def guarded(self) -> list[Client]:
        """Return the clients who may see no more than they are allowed."""
        with self._lock:
            return [client for client in self._clients.values() if not client.actor.is_trusted]

    def actor(self, client_id: str) -> Actor:
        """Return whose connection this is. Raises NotFound when it is closed."""
        return self._find(client_id).actor

    def view(self, client_id: str) -> View:
        """Return what a client is shown. Raises NotFound when the connection is closed."""
        return self._find(client_id).view

    def renew(self, client_id: str, actor: Actor) -> None:
        """Take a client's new token, which stands for the same bearer as the one that it came with.

        Raises:
            NotFound: the connection is closed, or what it watches is not for this token.
            Forbidden: the token stands for somebody else, or for more or less.
        """
        client = self._find(client_id)
        if not actor.is_same_bearer(client.actor):
            raise Forbidden("this token stands for somebody else", field="token")
        for instance_id in {*list(client.watches), *list(client.tasks.values())}:
            self.passes.ask(actor, instance_id)
        self.passes.renew(client, actor)

    def withdraw(self, client: Client, instance_id: str, reason: Reason) -> list[str]:
        """Stop delivering anything of an instance to a client, and tell it why; returns the tasks whose text it read.

        Nothing of the instance follows what it is told.
        """
        frame = self._transport.frame(RESET, reset_payload(instance_id, reason))
        with self._lock:
            watch = client.watches.pop(instance_id, None)
            tasks = [task_id for task_id, its in client.tasks.items() if its == instance_id]
            for task_id in tasks:
                del client.tasks[task_id]
        for task_id in tasks:
            self._stop_reading(client, task_id)
        RESETS.labels(reason).inc()
        if watch is None:
            self._transport.send(client.id, [frame])
        else:
            watch.remove(client, lambda: self._transport.send(client.id, [frame]))
        return tasks

    def _find(self, client_id: str) -> Client:
        with self._lock:
            client = self._clients.get(client_id)
        if client is None or client.ended:
            raise NotFound("this connection is closed")
        return client

    def _check_number(self, client: Client, known: bool) -> None:
        most = self._settings.max_subscriptions
        if not known and len(client.watches) + len(client.tasks) >= most:
            raise TooMany(f"at most {most} instances and tasks can be watched at once", retry_after=WHEN_FULL)

    def _hold(self, instance_id: str, answer: Answer) -> Watch:
        """Return the instance's watch, begun if need be, and keep it from ending."""
        with self._lock:
            watch = self._watches.get(instance_id)
            if watch is not None:
                watch.holds += 1
                return watch
            after = answer.seq if answer.mode == "replay" else None
            watch = Watch(instance_id, answer.head, self._settings, self.archive, self._transport, after=after)
            watch.holds += 1
            pump = threading.Thread(target=watch.run, args=(self._may_end,), name=f"pump-{instance_id}", daemon=True)
            pump.start()
            self._watches[instance_id] = watch
        WATCHED.set(len(self._watches))
        self._listener.add(instance_channel(self._settings, instance_id))
        return watch

    def _may_end(self, watch: Watch) -> bool:
        with self._lock:
            if watch.holds or not watch.is_idle:
                return False
            del self._watches[watch.instance_id]
        WATCHED.set(len(self._watches))
        self._quit(instance_channel(self._settings, watch.instance_id), lambda: watch.instance_id in self._watches)
        return True

    def _stop_reading(self, client: Client, task_id: str) -> None:
        if self._texts.leave(client, task_id):
            self._quit(task_channel(self._settings, task_id), lambda: self._texts.has_readers(task_id))

    def _quit(self, channel: str, is_wanted: Callable[[], bool]) -> None:
        self._listener.discard(channel)
        if is_wanted():
            # Somebody came between the decision to leave and the leaving.
            self._listener.add(channel)

    def _hear(self, channel: str, told: bytes) -> None:
        if channel == self._listener.own:
            self._probe.hear(told)
        elif (message := self._voucher.unwrap(channel, told)) is None:
            HINTS.labels("forged").inc()
        elif channel.startswith(self._instances):
            watch = self._watches.get(channel.removeprefix(self._instances))
            if watch is not None:
                watch.hear(message)
        elif channel == self._access:
            self.on_access()
        elif channel.startswith(self._tasks):
            self._texts.hear(channel.removeprefix(self._tasks), message)

    def _joined(self, channel: str) -> None:
        watch = self._watches.get(channel.removeprefix(self._instances))
        if watch is not None:
            watch.joined()
            self.check.doubt(watch.instance_id)
        if channel == self._listener.own:
            self._probe.hurry()
        if channel == self._access:
            # What was published before was not heard.
            self.on_access()
