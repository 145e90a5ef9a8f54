"""Has the door refuse a websocket before its handshake, where a library shakes hands first. Before the road.

Otherwise a foreign page would be told that it has a websocket, which is closed at once, and nobody could see why.
"""

from __future__ import annotations

from typing import Any

from app.core.settings import Settings
from app.web.doorstep import Doorstep


def refuse_first(handler: type[Any], settings: Settings) -> type[Any]:
    """Return gevent-websocket's handler of requests, with the door before its handshake.

    What is refused goes on as if it asked for no websocket, and gets the door's answer.
    """
    doorstep = Doorstep(settings)

    class Handler(handler):  # type: ignore[misc] # the library has no types
        def upgrade_websocket(self) -> Any:
            # Of a copy: the application settles it again, and for good.
            environ = dict(self.environ)
            doorstep.settle(environ)
            return super().upgrade_websocket() if doorstep.find_refusal(environ) is None else None

    return Handler
