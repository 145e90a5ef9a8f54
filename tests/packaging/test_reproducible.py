"""The same files give the same sdist: the time, the user and the order in which they are packed do not matter."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from tests.harness.program import ROOT

sys.path.append(str(ROOT / "build_backend"))
from reproducible import find_time, normalize_sdist

pytestmark = pytest.mark.unit

FILES = {"p/a.py": b"x = 1\n", "p/" + "long/" * 40 + "ä.txt": "ä".encode(), "p/empty": b""}


def pack(path: Path, names: list[str], when: float, user: int, umask: int) -> Path:
    """Write an archive as setuptools does."""
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.uname = len(FILES[name]), when, user, f"user{user}"
            member.mode = (0o777 if name.endswith(".py") else 0o666) & ~umask
            archive.addfile(member, io.BytesIO(FILES[name]))
        link = tarfile.TarInfo("p/link")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "a.py", when
        archive.addfile(link)
    return path


def test_two_archives_of_the_same_files_are_equal(tmp_path: Path) -> None:
    first = pack(tmp_path / "first.tar.gz", list(FILES), 1_700_000_000.25, 0, 0o022)
    second = pack(tmp_path / "second.tar.gz", list(reversed(FILES)), 1_800_000_000.75, 1000, 0o077)
    for path in (first, second):
        normalize_sdist(path, 1_600_000_000)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        members = archive.getmembers()
        assert {member.name: archive.extractfile(member).read() for member in members if member.isfile()} == FILES  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(1_600_000_000, 0, "")}
        modes = {member.name: member.mode for member in members if member.isfile()}
        assert [modes["p/a.py"], modes["p/empty"]] == [0o755, 0o644]
        assert archive.getmember("p/link").linkname == "a.py"


@pytest.mark.parametrize(("value", "seconds"), [(None, None), ("", None), ("0", 0), ("1700000000", 1_700_000_000)])
def test_the_time_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: int | None
) -> None:
    if value is None:
        monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    else:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    assert find_time() == seconds


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5"])
def test_a_time_that_is_no_number_stops_the_build(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(SystemExit, match="SOURCE_DATE_EPOCH"):
        find_time()
