"""A Socket.IO client of Swallowtail: `swallowtail.client`, or this directory copied under a name of your choice."""

from .handlers import Handlers, State
from .log_position import Payload, Since, StepText
from .socket_connection import ConnectionFailed, Refused
from .task_websocket_client import TaskWebSocketClient

__all__ = ["ConnectionFailed", "Handlers", "Payload", "Refused", "Since", "State", "StepText", "TaskWebSocketClient"]
