"""Opens the text engine that the settings name. Off the road of an event: an agent calls it inside a step."""

from __future__ import annotations

from app.core.settings import Settings, load_settings
from workers.llm.offline import OfflineProvider
from workers.llm.openai_chat import OpenAIProvider
from workers.llm.provider import Provider


def open_provider(settings: Settings | None = None) -> Provider:
    """The provider named by SWALLOWTAIL_LLM_PROVIDER.

    Raises PermanentError when it needs something that is missing: the `openai` extra, or a key.
    """
    settings = settings or load_settings()
    if settings.llm_provider == "openai":
        return OpenAIProvider(settings)
    return OfflineProvider()
