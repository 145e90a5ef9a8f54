"""Every example of docs/client.md runs as it stands, against a real server and worker."""

from __future__ import annotations

import re

import pytest

from tests.harness.deployment import Deployment
from tests.harness.program import ROOT

pytestmark = pytest.mark.journey

DOCUMENT = ROOT / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_every_example_of_the_document_runs(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    assert len(EXAMPLES) >= 6
    for example in EXAMPLES:
        code = example.replace("http://localhost:8000", shared_deployment.webs[0].url)
        code = code.replace('"demo"', repr(instance)).replace("/demo", f"/{instance}")
        exec(compile(code, str(DOCUMENT), "exec"), {"__name__": "__main__"})  # noqa: S102 # of this repository
