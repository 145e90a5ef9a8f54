"""Settings of how agents fetch and read documents. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class ReadingSettings(BaseSettings):
    """What one document from a stranger may cost."""

    # Documents that agents read
    fetch_timeout: float = Field(10.0, gt=0, description="Longest that fetching a document may take")
    fetch_max_bytes: int = Field(4_194_304, ge=1024, description="Largest document that an agent fetches")
    fetch_allow_private: bool = Field(False, description="Whether agents may fetch from private and loopback addresses")
    read_cpu_seconds: int = Field(10, ge=1, description="Processor time that reading one document may take")
    read_memory: int = Field(
        1_073_741_824, ge=134_217_728, description="Address space of the process that reads a document"
    )
    read_max_unpacked: int = Field(67_108_864, ge=1024, description="Most that a DOCX may unpack to")
