"""Encrypts the payload columns listed in `ENCRYPTED_COLUMNS`: ciphertext in the database, plain values in memory.

Listeners decrypt loaded rows, and check and encrypt flushed ones. Two kinds of statements bypass the listeners and
encrypt their values themselves: inserts of events (`core/ledger/event_log`) and moves of tasks
(`core/ledger/transitions`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, object_session
from sqlalchemy.orm.attributes import set_committed_value

from swallowtail.app.core.events import to_json
from swallowtail.app.core.privacy.keyring import KeyMissing, Keyring, Tampered
from swallowtail.app.core.tables.artifacts import Artifact
from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.tasks import Event, Step, Task
from swallowtail.app.core.tables.unreadable import Placeholder
from swallowtail.app.core.validation import LIMITS, check_encoded

#: The encrypted JSON columns. An artifact's content, which is bytes, is encrypted separately.
ENCRYPTED_COLUMNS: Mapping[type[Base], tuple[str, ...]] = {
    Task: ("input", "input_shown", "secrets", "result", "result_shown", "error"),
    Step: ("output", "output_shown", "error"),
    Event: ("data",),
    Schedule: ("input", "input_shown"),
    Artifact: ("content_shown",),
}
#: Columns that are computed from a checked column: they may be deeper and larger, and can be computed again.
DERIVED = frozenset({"secrets", "input_shown", "output_shown", "result_shown", "content_shown"})
#: Key in `Session.info`.
KEYRING = "keyring"
_ENCRYPTED, _AS_IS = "$sealed", "$as_is"
_NO_KEYS = Keyring()


def keyring_of(session: Session | None) -> Keyring:
    """Return the encryption keys of a session's database."""
    keyring: Keyring = _NO_KEYS if session is None else session.info.get(KEYRING, _NO_KEYS)
    return keyring


def encrypt_value(keyring: Keyring, model: type[Base], row_id: str, column: str, value: Any) -> Any:
    """Return the stored form of a value; None stays None."""
    if value is None:
        return None
    if keyring.current is not None:
        ciphertext = keyring.encrypt(cell_of(model, row_id, column), to_json(value))
        return {_ENCRYPTED: f"{keyring.current}:{base64.b64encode(ciphertext).decode()}"}
    # A value with the form of a stored one is wrapped. So are numbers: a JSON column of SQLite has numeric affinity,
    # which would turn 5.0 into 5 and 2**64 - 1 into 1.8446744073709552e19.
    return {_AS_IS: value} if _is_wrapped(value) or type(value) in (int, float) else value


def decrypt_value(keyring: Keyring, model: type[Base], row_id: str, column: str, stored: Any) -> Any:
    """Return the value of a stored form. Raises KeyMissing, Tampered."""
    if not _is_wrapped(stored):
        return stored
    if _AS_IS in stored:
        return stored[_AS_IS]
    place = cell_of(model, row_id, column)
    key_id, _, encoded = str(stored[_ENCRYPTED]).partition(":")
    try:
        ciphertext = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Tampered(f"{place} is not what was stored there") from None
    return orjson.loads(keyring.decrypt(place, key_id, ciphertext))


def encrypt_bytes(keyring: Keyring, row_id: str, content: bytes) -> tuple[bytes, str | None]:
    """Return the stored form of an artifact's content, and the id of the key."""
    if keyring.current is None:
        return content, None
    return keyring.encrypt(cell_of(Artifact, row_id, "content"), content), keyring.current


def decrypt_bytes(keyring: Keyring, row_id: str, stored: bytes, key_id: str | None) -> bytes:
    """Return an artifact's content. Raises KeyMissing, Tampered."""
    return stored if key_id is None else keyring.decrypt(cell_of(Artifact, row_id, "content"), key_id, stored)


def cell_of(model: type[Base], row_id: str, column: str) -> str:
    """Return the name of a column of a row; a ciphertext can be decrypted only for the same name."""
    return f"{model.__tablename__}/{row_id}/{column}"


def marker_of(key_id: str) -> str:
    """Return the first characters of a stored column that was encrypted with a key."""
    return f'{{"{_ENCRYPTED}":"{key_id}:'


#: The first characters of any encrypted column.
ANY_MARKER = f'{{"{_ENCRYPTED}":"'


def _is_wrapped(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and (_ENCRYPTED in value or _AS_IS in value)


def _open_row(target: Any, columns: Iterable[str]) -> None:
    loaded = target.__dict__
    for column in columns:
        if _is_wrapped(loaded.get(column)):
            keyring = keyring_of(object_session(target))
            try:
                value = decrypt_value(keyring, type(target), target.id, column, loaded[column])
            except (KeyMissing, Tampered) as fault:
                # The ciphertext must not be used as the value, and the other rows must stay readable.
                value = Placeholder(fault)
            set_committed_value(target, column, value)


def _on_load(target: Any, context: Any) -> None:
    # Without a context, this is a session's copy of a row in memory, which is decrypted.
    if context is not None:
        _open_row(target, ENCRYPTED_COLUMNS[type(target)])


def _on_refresh(target: Any, context: Any, attributes: Iterable[str] | None) -> None:
    # The other columns are decrypted already, and their values may have the form of encrypted ones.
    columns = ENCRYPTED_COLUMNS[type(target)]
    _open_row(target, columns if attributes is None else [name for name in columns if name in attributes])


def _before_write(mapper: Any, connection: Any, target: Any) -> None:
    state = inspect(target)
    keyring = keyring_of(object_session(target))
    for column in ENCRYPTED_COLUMNS[type(target)]:
        if state.attrs[column].history.has_changes():
            value = getattr(target, column)
            if column not in DERIVED and not _is_checked(state, column):
                _check(object_session(target), column, value)
            stored = encrypt_value(keyring, type(target), target.id, column, value)
            if stored is not value:
                setattr(target, column, stored)


def _is_checked(state: Any, column: str) -> bool:
    """Return whether a value is stored with its redaction, which is only made of checked values."""
    redaction = state.attrs.get(f"{column}_shown")
    return redaction is not None and any(redaction.history.added or ())


def _check(session: Session | None, column: str, value: Any) -> None:
    """Check the depth and size of a value. Raises InvalidInput, TooLarge."""
    limits = None if session is None else session.info.get(LIMITS)
    if limits is not None and value is not None:
        check_encoded(to_json(value), column, limits)


def _after_write(mapper: Any, connection: Any, target: Any) -> None:
    _open_row(target, ENCRYPTED_COLUMNS[type(target)])


for each in ENCRYPTED_COLUMNS:
    event.listen(each, "load", _on_load)
    event.listen(each, "refresh", _on_refresh)
    for moment in ("insert", "update"):
        event.listen(each, f"before_{moment}", _before_write)
        event.listen(each, f"after_{moment}", _after_write)
