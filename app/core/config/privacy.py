"""Settings of retention, redaction, encryption and artifacts."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, field_validator

from swallowtail.app.core.privacy.keyring import Keyring


class PrivacySettings(BaseModel):
    """What is stored, in which form, and for how long."""

    # Retention
    event_retention_days: float = Field(
        0.0, ge=0, description="Days that events are kept; 0 for ever. An instance's own policy overrides it"
    )
    event_retention_events: int = Field(0, ge=0, description="Latest events kept of each instance; 0 for all")
    task_retention_days: float = Field(
        0.0, ge=0, description="Days that tasks are kept after their end, and events at most; 0 for ever"
    )
    token_keep_days: float = Field(
        30.0, ge=0, description="Days that tokens are kept after they expired or were revoked; 0 for ever"
    )
    audit_keep_days: float = Field(
        0.0, ge=0, description="Days, rounded up to whole ones (UTC), that audit entries are kept; 0 for ever"
    )
    prune_interval: float = Field(60.0, gt=0, description="How often expired rows are deleted")
    prune_batch: int = Field(500, ge=1, le=5000, description="Events, tasks, tokens or audit entries in one deletion")
    prune_floor: float = Field(60.0, ge=0, description="Age below which no event is pruned")

    # Redaction and encryption
    secret_fields: str = Field(
        "password, passwd, secret, api_key, secret_key, client_secret, access_token, refresh_token, private_key, "
        "authorization",
        description="Fields, comma separated, whose values are redacted at any depth of any payload; an instance's "
        "policy may name more",
    )
    hide_emails: bool = Field(False, description="Whether e-mail addresses are redacted; instance policies override it")
    max_hidden_values: int = Field(
        100,
        ge=0,
        le=1000,
        description="Texts in the secret fields of one task's input that are redacted wherever they appear; a task "
        "with more of them is redacted as a whole",
    )
    policy_seconds: float = Field(5.0, ge=0, description="How long a process caches the policy of an instance")
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys, comma separated as `id:base64 of 32 bytes`, that encrypt payloads in the database; the "
        "first encrypts, all decrypt; payloads are not encrypted when empty",
    )
    inline_output_bytes: int = Field(
        32_768,
        ge=1024,
        description="Largest output of a step or result of a task, as JSON, inside its event; "
        "a larger one is an artifact",
    )
    inline_input_bytes: int = Field(
        32_768,
        ge=1024,
        description="Largest input, as JSON, in its task's or schedule's row and views; a larger one is an artifact",
    )
    preview_chars: int = Field(500, ge=0, le=4000, description="How much of an artifact its event shows")

    @field_validator("encryption_keys")
    @classmethod
    def _check_keys(cls, value: SecretStr) -> SecretStr:
        Keyring.parse(value.get_secret_value())
        return value
