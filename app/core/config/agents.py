"""Settings of the agents and of the text engine behind them. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from swallowtail.app.core.config.addresses import check_web_address


class AgentSettings(BaseSettings):
    """Which agents there are, and what writes for them."""

    # Agents
    agents: str = Field("", description="Modules with further agents, comma separated")
    probe: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether there is the agent `probe`, which sleeps, fails and fills as it is told, for tests and "
        "operators; `auto` has it where anybody is let in only",
    )
    llm_provider: Literal["offline", "openai"] = Field("offline", description="Text engine behind the agents")
    openai_base_url: str = Field("https://api.openai.com/v1", description="OpenAI-compatible endpoint")
    openai_api_key: SecretStr = Field(SecretStr(""), description="Key for the endpoint")
    openai_model: str = Field("gpt-4o-mini", description="Model asked for at the endpoint")
    openai_timeout: float = Field(60.0, gt=0, description="Longest silence of the endpoint")

    @field_validator("openai_base_url")
    @classmethod
    def _reachable_endpoint(cls, value: str) -> str:
        check_web_address(value)
        return value
