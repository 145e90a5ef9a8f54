"""Opens the text engine that the settings name. Off the road of an event: an agent calls it inside a step."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.workers.llm.offline import OfflineProvider
from swallowtail.workers.llm.openai_chat import OpenAIProvider
from swallowtail.workers.llm.provider import Provider


def open_provider(settings: Settings | None = None) -> Provider:
    """The provider named by SWALLOWTAIL_LLM_PROVIDER.

    Raises PermanentError when it needs something that is missing: the `openai` extra, or a key.
    """
    settings = settings or load_settings()
    if settings.llm_provider == "openai":
        return OpenAIProvider(settings)
    return OfflineProvider()
