"""The client of commands: a missing field in an answer shows that another program answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swallowtail.client.client import Client
from swallowtail.client.rest import flows
from swallowtail.scripts.cli.remote.error_messages import not_ours

if TYPE_CHECKING:
    from swallowtail.client.callers.blocking import Stream


class Answer(dict[str, Any]):
    """An object of an answer. Reading a field that it lacks raises Unavailable."""

    def __init__(self, content: Mapping[str, Any], url: str) -> None:
        super().__init__({name: _check(value, url) for name, value in content.items() if _is_usable(name, value)})
        self._url = url

    def __missing__(self, name: str) -> Any:
        raise not_ours(self._url)


class CommandClient(Client):
    """Returns answers whose fields are checked when they are read."""

    def request(self, *args: Any, **options: Any) -> Any:
        """See Client. An answer without a body is an object without fields."""
        raw = super().request(*args, **options)
        return self._read(raw if raw is not None else {})

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Stream[Any]:
        """See Client."""
        return self._stream(flows.deliver_pages(self._session, path, params or {}, self._read))

    def _read(self, raw: Any) -> Answer:
        if not isinstance(raw, dict):
            raise not_ours(self.url)
        return Answer(raw, self.url)


def _check(value: Any, url: str) -> Any:
    if isinstance(value, dict):
        return Answer(value, url)
    return [_check(item, url) for item in value] if isinstance(value, list) else value


def _is_usable(name: str, value: Any) -> bool:
    """Return whether a field has the type that it has in our answers: items are objects."""
    return name != "items" or (isinstance(value, list) and all(isinstance(item, dict) for item in value))
