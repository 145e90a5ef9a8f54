"""Reads and restores the configuration of all loggers and handlers, for `process_state`."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import structlog

#: Level, propagate, disabled, handlers and filters of a logger. A tuple, since there are hundreds per run.
_Logger = tuple[int, bool, bool, tuple[logging.Handler, ...], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _State:
    disable: int
    loggers: dict[logging.Logger, _Logger]
    handlers: dict[logging.Handler, tuple[int, logging.Formatter | None, tuple[Any, ...]]]
    structlog: dict[str, Any]
    showwarning: Any


def read() -> _State:
    """Return the configuration of every logger and its handlers."""
    loggers = {logger: _read(logger) for logger in _loggers()}
    handlers = {
        handler: (handler.level, handler.formatter, tuple(handler.filters))
        for state in loggers.values()
        for handler in state[3]
    }
    return _State(logging.root.manager.disable, loggers, handlers, structlog.get_config(), warnings.showwarning)


def restore(before: _State) -> None:
    """Restore the configuration. Loggers created since then are reset to defaults."""
    if logging.root.manager.disable != before.disable:
        logging.disable(before.disable)
    for logger in _loggers():
        state, target = _read(logger), before.loggers.get(logger)
        if target is None:
            silent = tuple(each for each in state[3] if isinstance(each, logging.NullHandler))
            target = (logging.NOTSET, True, False, silent, ())
        if state != target:
            _set(logger, target)
    for handler, (level, formatter, filters) in before.handlers.items():
        handler.level, handler.formatter, handler.filters[:] = level, formatter, filters
    if structlog.get_config() != before.structlog:
        structlog.configure(**before.structlog)
    warnings.showwarning = before.showwarning


def _loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _read(logger: logging.Logger) -> _Logger:
    return logger.level, logger.propagate, logger.disabled, tuple(logger.handlers), tuple(logger.filters)


def _set(logger: logging.Logger, state: _Logger) -> None:
    level, logger.propagate, logger.disabled, handlers, filters = state
    if logger.level != level:
        logger.setLevel(level)
    logger.handlers[:], logger.filters[:] = handlers, filters
