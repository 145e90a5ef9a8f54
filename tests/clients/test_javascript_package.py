"""The npm package: what it declares, its types, and its use from TypeScript after an installation."""

from __future__ import annotations

import json
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from swallowtail.app.core.schemas import instances, tasks
from swallowtail.app.core.states import StepStatus, TaskStatus
from swallowtail.version import VERSION
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.harness.services import require

PACKAGE = ROOT / "clients/javascript"
TYPES = PACKAGE / "types"
PROGRAM = Path(__file__).with_name("package_user.ts")
#: What the server's schemas are called in the package.
SCHEMAS: dict[str, Any] = {
    "TaskState": tasks.TaskState,
    "TaskSummary": tasks.TaskSummary,
    "Task": tasks.TaskView,
    "StepSummary": tasks.StepSummary,
    "Step": tasks.StepView,
    "TaskWithSteps": tasks.TaskWithSteps,
    "Snapshot": tasks.SnapshotView,
    "Wait": tasks.Wait,
    "Warning": tasks.WarningView,
    "Agent": instances.AgentView,
    "Instance": instances.InstanceView,
}


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command to its end, and return what it prints."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def compile_types(*arguments: str | Path, cwd: Path = ROOT) -> None:
    """Run the TypeScript compiler."""
    compiler = ROOT / "node_modules/typescript/bin/tsc"
    if not compiler.exists():
        require("tsc")
    run(require("node"), compiler, *arguments, cwd=cwd)


@pytest.mark.unit
def test_the_package_has_the_version_and_the_licence_of_the_project() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    package = json.loads((PACKAGE / "package.json").read_text())
    assert (package["version"], package["license"]) == (VERSION, setup["metadata"]["license"])
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.unit
def test_the_package_needs_nothing_but_the_socket_io_client_and_for_the_hooks_react() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    pages = json.loads((ROOT / "package.json").read_text())
    assert package["dependencies"] == pages["dependencies"]
    assert package["peerDependencies"].keys() == {"react"} == package["peerDependenciesMeta"].keys()
    imports = {
        name
        for script in PACKAGE.glob("*.js")
        for name in re.findall(r'^(?:import|\}|export) .*from "([^.][^"]*)";', script.read_text(), re.MULTILINE)
    }
    assert imports == {"socket.io-client", "react"}


@pytest.mark.unit
def test_the_declarations_are_those_of_the_scripts(tmp_path: Path) -> None:
    """After a change of a script: node_modules/.bin/tsc -p clients/javascript."""
    compile_types("-p", PACKAGE, "--outDir", tmp_path)
    assert {path.name: path.read_text() for path in TYPES.iterdir()} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


@pytest.mark.unit
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_declared_type_has_the_fields_that_the_server_sends(name: str) -> None:
    assert declared_fields(name) == set(get_type_hints(SCHEMAS[name]))


@pytest.mark.unit
def test_the_declared_statuses_are_those_of_the_server() -> None:
    text = (PACKAGE / "wire.ts").read_text()
    for name, states in (("TaskStatus", TaskStatus), ("StepStatus", StepStatus)):
        (values,) = re.findall(rf"export type {name} =(.*?);", text, re.DOTALL)
        assert re.findall(r'"(\w+)"', values) == [state.value for state in states]


def declared_fields(name: str) -> set[str]:
    """Return the fields of an interface in wire.ts, with those of the interfaces that it extends."""
    text = (PACKAGE / "wire.ts").read_text()
    ((bases, body),) = re.findall(rf"export interface {name}(?: extends ([\w, ]+))? {{\n(.*?)\n}}", text, re.DOTALL)
    inherited = [declared_fields(base.strip()) for base in bases.split(",") if base]
    return set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE)).union(*inherited)


@pytest.mark.long
@pytest.mark.journey
def test_an_installed_package_serves_a_program_in_typescript(shared_deployment: Deployment, tmp_path: Path) -> None:
    instance = shared_deployment.new_instance()
    install(tmp_path)
    exported = re.findall(r"export declare (?:class|function) (\w+)", declarations(tmp_path))
    unused = [name for name in exported if name not in PROGRAM.read_text()]
    assert not unused
    (tmp_path / "main.ts").write_text(PROGRAM.read_text())
    for options in (["--module", "esnext", "--moduleResolution", "bundler"], ["--module", "nodenext"]):
        strict = ["--strict", "--exactOptionalPropertyTypes", "--noUnusedLocals", "--target", "es2022"]
        compile_types("main.ts", "ambient.d.ts", *strict, *options, "--types", "", cwd=tmp_path)
    printed = json.loads(run(require("node"), "main.js", shared_deployment.webs[0].url, instance, cwd=tmp_path))
    task_id = printed["events"][0]["task_id"]
    events = [event for event in shared_deployment.events(instance) if event["task_id"] == task_id]
    assert printed["events"] == events
    assert (printed["followed"], printed["stored"], printed["steps"]) == ("COMPLETED", len(events), 2)
    assert printed["result"] == {"message": "hello"}
    assert printed["listed"] == [task_id]
    assert printed["refusals"] == ["NotFound", "Conflict", "Conflict", "InvalidInput", "NotFound", "ConnectionFailed"]
    assert (printed["handled"], printed["component"]) == ("task_update", "Row")


def install(folder: Path) -> None:
    """Pack the package, and install it with the versions of the lock file, from node_modules instead of a registry."""
    npm = require("npm")
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    libraries = [path for path, entry in locked.items() if path and not entry.get("dev")]
    also = ["node_modules/react", "node_modules/@types/react", "node_modules/csstype"]
    folders = [f"./{path}" for path in (PACKAGE.relative_to(ROOT), *libraries, *also)]
    packed = json.loads(run(npm, "pack", "--json", "--pack-destination", folder, *folders))
    files = {item["name"]: f"file:{item['filename']}" for item in packed}
    direct = {name: files.pop(name) for name in ("swallowtail-client", "react", "@types/react")}
    manifest = {"private": True, "type": "module", "dependencies": direct, "overrides": files}
    (folder / "package.json").write_text(json.dumps(manifest))
    run(npm, "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    # The part of Node.js that the program uses, without the package of its types.
    (folder / "ambient.d.ts").write_text("declare const process: { argv: string[] };\n")


def declarations(folder: Path) -> str:
    """Return the declarations of the two entries, and of what the first one passes on."""
    types = folder / "node_modules/swallowtail-client/types"
    return "".join(
        (types / f"{name}.d.ts").read_text() for name in ("index", "client", "errors", "task_state", "react")
    )
