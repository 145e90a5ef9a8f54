"""Makes sdists of the same files equal, where SOURCE_DATE_EPOCH says which time they have."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path


def find_time() -> int | None:
    """Return SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/)."""
    value = os.environ.get("SOURCE_DATE_EPOCH", "")
    if value and not value.isdecimal():
        raise SystemExit(f"SOURCE_DATE_EPOCH is {value!r}; it should be a number of seconds")
    return int(value) if value else None


def normalize_sdist(path: Path, seconds: int) -> None:
    """Write an sdist again in the order of names, with one time, no user, and permissions without the umask."""
    buffer = io.BytesIO()
    with (
        tarfile.open(path) as before,
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            after.addfile(_normalize(member, seconds), before.extractfile(member) if member.isfile() else None)
    path.write_bytes(buffer.getvalue())


def _normalize(member: tarfile.TarInfo, seconds: int) -> tarfile.TarInfo:
    mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    normal = member.replace(mtime=seconds, mode=mode, uid=0, gid=0, uname="", gname="", deep=False)
    # They have the time with its fractions; long names get others.
    normal.pax_headers = {}
    return normal
