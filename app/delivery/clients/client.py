"""One connected client: who it is, and which instances and tasks it is subscribed to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from swallowtail.app.core.security.actors import OPEN, Actor
from swallowtail.app.core.security.field_mask import FULL, FieldMask


@dataclass(slots=True, eq=False)
class Client:
    """One connection. `closed` and `ended` (its token is no longer valid, nothing new starts) are final."""

    id: str
    closed: bool = False
    ended: bool = False
    #: What the transport keeps with a client so that it need not search for it.
    connection: Any = None
    actor: Actor = OPEN
    #: Which fields and tasks the client sees, for as long as it is connected.
    view: FieldMask = FULL
    #: A list, since a set would take 150 bytes more for each client.
    instances: list[str] = field(default_factory=list)
    #: The tasks whose text the client reads, with their instances.
    tasks: dict[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> set[str]:
        """The instances of which the client receives anything."""
        return {*self.instances, *list(self.tasks.values())}
