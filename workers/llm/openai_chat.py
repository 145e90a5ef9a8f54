"""The text engine for OpenAI-compatible endpoints, with streamed chat completions.

It never retries by itself: a failed step is retried by the next run, visibly. Errors that another try cannot fix (a
rejected key, an unknown model, a used-up quota) become PermanentError, all others ProviderError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from swallowtail.app.core.config.settings import Settings
from swallowtail.workers.llm.prompts import Message, draft_messages
from swallowtail.workers.llm.provider import DraftRequest, ProviderError
from swallowtail.workers.run.outcomes import PermanentError
from swallowtail.workers.run.retry_policy import requested_delay

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam

OFFICIAL = "https://api.openai.com/"

#: Statuses below 500 after which another try may succeed: timeout, conflict, too early, too many requests.
TRANSIENT = frozenset({408, 409, 425, 429})


class OpenAIProvider:
    """Writes with any endpoint that supports `POST {base_url}/chat/completions` with `stream: true`."""

    name = "openai"

    def __init__(self, settings: Settings) -> None:
        """Raises PermanentError without the `openai` extra, or without a key for the official endpoint."""
        self.model = settings.openai_model
        key = settings.openai_api_key.get_secret_value()
        if not key and settings.openai_base_url.startswith(OFFICIAL):
            raise PermanentError("SWALLOWTAIL_OPENAI_API_KEY is not set", code="provider_auth")
        try:
            import openai  # an optional extra
        except ImportError:
            text = "SWALLOWTAIL_LLM_PROVIDER=openai needs the extra: pip install 'swallowtail[openai]'"
            raise PermanentError(text, code="provider_missing") from None
        self._connect = partial(
            openai.OpenAI,
            api_key=key or "none",  # the library requires a key, local servers accept any
            base_url=settings.openai_base_url,
            timeout=settings.openai_timeout,
            max_retries=0,
        )

    def draft(self, request: DraftRequest) -> Iterator[str]:
        """Yield the post piece by piece as it arrives."""
        return self.chat(draft_messages(request))

    def chat(self, messages: list[Message]) -> Iterator[str]:
        """Yield the answer to a conversation (`[{role, content}, …]`) piece by piece as it arrives.

        Raises PermanentError or ProviderError; pieces before an error are an incomplete answer.
        """
        finish: str | None = None
        conversation = cast("list[ChatCompletionMessageParam]", messages)
        with (
            _translated_errors(),
            self._connect() as client,
            client.chat.completions.create(model=self.model, messages=conversation, stream=True) as stream,
        ):
            for chunk in stream:
                for choice in chunk.choices or ():
                    finish = choice.finish_reason or finish
                    if choice.delta is not None and choice.delta.content:
                        yield choice.delta.content
        _check_finish(finish)


def _check_finish(reason: str | None) -> None:
    """Raise an error unless the answer is complete; a stream without a reason to finish was cut."""
    if reason == "content_filter":
        raise PermanentError("the endpoint's content filter refused the text", code="provider_refused")
    if reason is None:
        raise ProviderError("the endpoint's answer broke off")
    if reason == "length":
        raise ProviderError("the endpoint ended the answer at its length limit")


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Convert the library's errors to ours, without the key or the request in their text."""
    import openai  # an extra: see OpenAIProvider

    try:
        yield
    except openai.APIStatusError as error:
        raise _status_error(error) from None
    except openai.APITimeoutError:
        raise ProviderError("the endpoint did not answer in time") from None
    except openai.APIConnectionError as error:
        raise ProviderError(f"the connection to the endpoint failed: {error.__cause__ or error}") from None
    except openai.OpenAIError as error:
        raise ProviderError(f"the endpoint reported an error: {error}") from None
    except (ValueError, AttributeError, TypeError) as error:  # not JSON, or JSON of another shape
        raise ProviderError(f"the endpoint's answer cannot be read: {error}") from None


def _status_error(error: openai.APIStatusError) -> Exception:
    body: Any = error.body
    detail = str(body.get("message", "")) if isinstance(body, dict) else ""
    text = f"the endpoint answered {error.status_code}" + (f": {detail[:300]}" if detail else "")
    if error.status_code in (401, 403):
        return PermanentError(text, code="provider_auth")
    if error.code == "insufficient_quota":
        return PermanentError(text, code="provider_quota")
    if error.status_code >= 500 or error.status_code in TRANSIENT:
        return ProviderError(text, retry_after=requested_delay(error) or None)
    return PermanentError(text, code="provider_refused")
