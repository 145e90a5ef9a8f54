"""Settings of the agents, their language model and the documents that they read."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from swallowtail.app.core.config.addresses import check_web_address
from swallowtail.app.core.config.basic import basic


class AgentSettings(BaseModel):
    """Which agents exist, which language model they use, and limits for the documents that they read."""

    # Agents
    agents: str = basic("", description="Modules with further agents, comma separated")
    find_agents: bool = Field(
        True, description="Whether `agents.py` or `agents/` in the working directory is loaded as well"
    )
    dev: bool = Field(
        False,
        description="Set by `swallowtail dev`: an error of an agent's module is shown in the terminal and on every "
        "page, and stops nothing",
    )
    probe: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the agent `probe` exists, which sleeps, fails and produces output on request, for tests "
        "and operators; `auto` means on open deployments only",
    )
    llm_provider: Literal["offline", "openai"] = basic("offline", description="Language model of the agents")
    demo_words_per_second: float = Field(
        15.0,
        ge=0,
        le=1000,
        description="Words per second that the offline model streams in the demo instance, so that one sees it work; 0 "
        "for no pauses",
    )
    openai_base_url: str = basic("https://api.openai.com/v1", description="OpenAI-compatible endpoint")
    openai_api_key: SecretStr = basic(SecretStr(""), description="Key for the endpoint")
    openai_model: str = basic("gpt-4o-mini", description="Model at the endpoint")
    openai_timeout: float = Field(60.0, gt=0, description="Longest silence of the endpoint")

    # Documents that agents read
    fetch_timeout: float = Field(10.0, gt=0, description="Longest time to fetch a document")
    fetch_max_bytes: int = Field(4_194_304, ge=1024, description="Largest document that an agent fetches")
    fetch_allow_private: bool = Field(False, description="Whether agents may fetch from private and loopback addresses")
    read_cpu_seconds: int = Field(10, ge=1, description="Processor time for reading one document")
    read_memory: int = Field(1_073_741_824, ge=134_217_728, description="Address space of the process that reads one")
    read_max_unpacked: int = Field(67_108_864, ge=1024, description="Largest size of an unpacked DOCX")

    @field_validator("openai_base_url")
    @classmethod
    def _check_openai_base_url(cls, value: str) -> str:
        check_web_address(value)
        return value
