"""The signing key is set, or created once in an embedded deployment, and never readable by other users."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.security.signing_keys import FILE_NAME, SigningKeys
from swallowtail.app.web.factory import create_app
from tests.harness.program import ROOT
from tests.harness.settings import make_settings
from tests.identity.bench import KEY, PROVIDER

ELSEWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


def test_on_the_embedded_default_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path / "var")
    keys = SigningKeys(settings)
    keys.check()
    assert not (tmp_path / "var").exists()
    kid, key = keys.present
    assert len(key) >= 64
    assert key not in kid
    assert stat.S_IMODE((settings.var / FILE_NAME).stat().st_mode) == 0o600
    assert SigningKeys(settings).present == (kid, key)
    assert os.listdir(settings.var) == [FILE_NAME]


def test_a_deployment_that_requires_sign_in_creates_the_key_at_the_start(tmp_path: Path) -> None:
    SigningKeys(make_settings(var_dir=tmp_path, auth="required")).check()
    assert (tmp_path / FILE_NAME).exists()


@pytest.mark.long
@pytest.mark.service
def test_processes_that_begin_at_the_same_time_have_the_same_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from swallowtail.app.core.config.settings import Settings;"
        "from swallowtail.app.core.security.signing_keys import SigningKeys; sys.stdin.read();"
        "print(SigningKeys(Settings(var_dir=Path(sys.argv[1]))).present[1])"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "var")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
        racer.stdin = None
    keys = {racer.communicate(timeout=120)[0] for racer in racers}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
    assert os.listdir(tmp_path / "var") == [FILE_NAME]


def test_a_key_file_that_is_readable_by_others_or_empty_is_refused(tmp_path: Path) -> None:
    settings, path = make_settings(var_dir=tmp_path), tmp_path / FILE_NAME
    path.write_text(KEY)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=r"SWALLOWTAIL_SECRET_KEY: others can read .*secret\.key"):
        _ = SigningKeys(settings).present
    path.chmod(0o600)
    assert SigningKeys(settings).present[1] == KEY
    path.write_text("")
    with pytest.raises(SettingsError, match="has no key"):
        _ = SigningKeys(settings).present
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(SettingsError, match="cannot be used"):
        _ = SigningKeys(settings).present


def test_a_distributed_web_process_without_a_key_does_not_start(tmp_path: Path) -> None:
    settings = make_settings(var_dir=tmp_path, database_url=ELSEWHERE, async_mode="threading")
    with pytest.raises(SettingsError, match="SWALLOWTAIL_SECRET_KEY: needed"):
        create_app(settings)
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("values", [{"secret_key": KEY}, {"auth": "open"}, PROVIDER], ids=["key", "open", "provider"])
def test_a_distributed_process_starts_with_a_key_or_where_none_is_needed(
    tmp_path: Path, values: dict[str, str]
) -> None:
    settings: Settings = make_settings(var_dir=tmp_path, database_url=ELSEWHERE, **values)
    keys = SigningKeys(settings)
    keys.check()
    if "secret_key" not in values:
        with pytest.raises(SettingsError, match="SWALLOWTAIL_SECRET_KEY"):
            _ = keys.present


@pytest.mark.long
@pytest.mark.service
def test_the_web_process_names_the_variable_that_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swallowtail.app.wsgi"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SWALLOWTAIL_DATABASE_URL": ELSEWHERE,
             "SWALLOWTAIL_PORT": "0", "SWALLOWTAIL_VAR_DIR": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("settings: SWALLOWTAIL_SECRET_KEY: needed")
    assert done.stderr.count("\n") == 1
