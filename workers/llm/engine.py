"""Opens the text engine that the settings select."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.workers.llm.offline import OfflineProvider
from swallowtail.workers.llm.openai_chat import OpenAIProvider
from swallowtail.workers.llm.pace import Pace
from swallowtail.workers.llm.provider import Provider


def open_provider(settings: Settings | None = None, pace: Pace | None = None) -> Provider:
    """Return the provider named by SWALLOWTAIL_LLM_PROVIDER; `pace` is that of the offline one.

    Raises PermanentError without its extra or key.
    """
    settings = settings or load_settings()
    if settings.llm_provider == "openai":
        return OpenAIProvider(settings)
    return OfflineProvider(pace)
