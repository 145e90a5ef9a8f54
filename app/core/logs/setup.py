"""Sets up logging: one line per event on standard error, as text (`console`) or JSON (`json`), without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.logs.unlogged_output import LineStream, find_real
from swallowtail.app.core.payload_redaction.rules import Policies
from swallowtail.app.core.privacy.redaction import redact
from swallowtail.app.core.privacy.redaction_rules import Rules

#: Libraries that log too much at INFO.
_NOISY = (
    "httpx httpcore httpx2 httpcore2 kombu amqp engineio socketio werkzeug markdown_it openai alembic.runtime.plugins"
)


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up logging of this process and replace any earlier setup. `stream` is standard error by default."""
    output = stream or find_real(sys.stderr)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _StdoutHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=_finish(settings, output)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    if isinstance(sys.stderr, LineStream):
        # Only once there is a handler: warnings that are logged without one are lost.
        logging.captureWarnings(True)
    for name in _NOISY.split():
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes log lines. A line that cannot be written, such as to a stream that an agent closed, raises nothing."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is Python's
        """Report the error, if that is possible."""
        with suppress(Exception):
            super().handleError(record)


def _finish(settings: Settings, output: TextIO) -> Sequence[Processor]:
    # Exceptions become text before redaction. Rich tracebacks would print local variables.
    redactor = LogRedactor(Policies(settings).general)
    first: list[Processor] = [_drop_internals, structlog.processors.format_exc_info, redactor]
    if settings.log_format == "json":
        return [*first, structlog.processors.JSONRenderer(serializer=_serialize)]
    plain = structlog.dev.plain_traceback
    return [*first, structlog.dev.ConsoleRenderer(colors=output.isatty(), exception_formatter=plain)]


_locked_at_fork: list[logging.Handler] = []


def _lock_output() -> None:
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, _StdoutHandler)]
    for handler in handlers:
        handler.acquire()
    _locked_at_fork.extend(handlers)


def _unlock_output() -> None:
    while _locked_at_fork:
        _locked_at_fork.pop().release()


# A child inherits the lock of the stream. Were another thread writing at that moment, the child's first line would wait
# for ever. The child forgets the handler's lock: logging gives it a new one.
os.register_at_fork(before=_lock_output, after_in_parent=_unlock_output, after_in_child=_locked_at_fork.clear)


class LogRedactor:
    """The processor that redacts each event: text, numbers, tracebacks and objects."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __call__(self, logger: object, name: str, event: EventDict) -> EventDict:
        """Return the redacted event; an event that cannot be encoded is replaced."""
        try:
            encoded = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
            redacted: EventDict = redact(orjson.loads(encoded), self._rules, encoded)
            return redacted
        except Exception as fault:  # logging must not break its caller
            return {"event": "unloggable", "level": event.get("level", name), "reason": type(fault).__name__}


def _drop_internals(logger: object, name: str, event: EventDict) -> EventDict:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    # Celery adds the whole task to some of its lines.
    event.pop("data", None)
    return event


def _serialize(event: EventDict, **_: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
