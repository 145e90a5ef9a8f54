"""The version: of the package, the REST API's document and the npm package."""

from __future__ import annotations

VERSION = "0.1.0"
