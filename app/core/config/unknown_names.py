"""Finds variables that look like settings and are none: a misspelt one would be ignored without a word.

Celery's own are found too: it takes them for the broker's address, past what ours says of TLS, and so does `celery -b`.

Off the road, for `core/config/settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches

from dotenv import dotenv_values

PREFIX = "SWALLOWTAIL_"
#: What Kubernetes puts into every container beside a service that is called `swallowtail`, or begins like that.
_OF_A_SERVICE = re.compile(r"SWALLOWTAIL_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?|PORT(?:_\d+_.*)?)")

_OF_CELERY = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


def find_unknown(known: Iterable[str]) -> list[str]:
    """Return a complaint, with the nearest name, for each variable (of `.env` too) that is no setting."""
    bare = {name.upper() for name in known}
    told = {**dotenv_values(".env"), **os.environ}
    wrong = [
        f"{name}: Celery would go by it and not by SWALLOWTAIL_BROKER_URL, which is to be set instead (also of `-b`)"
        for name in _OF_CELERY
        if os.environ.get(name)
    ]
    for name, value in sorted(told.items()):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper.removeprefix(PREFIX) in bare or _is_of_a_service(upper, value or ""):
            continue
        near = get_close_matches(upper.removeprefix(PREFIX), bare, n=1)
        wrong.append(f"{name}: there is no such setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else ""))
    return wrong


def _is_of_a_service(name: str, value: str) -> bool:
    return _OF_A_SERVICE.fullmatch(name) is not None or value.startswith(("tcp://", "udp://"))
