"""All settings in one frozen object, read once from `SWALLOWTAIL_*` and `.env` (docs/settings.md lists them).

A value that cannot be used stops the process with a message that names the variable.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Self

from pydantic import ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from swallowtail.app.core.config.agents import AgentSettings
from swallowtail.app.core.config.auth import AuthSettings, is_loopback
from swallowtail.app.core.config.database import DatabaseSettings
from swallowtail.app.core.config.delivery import DeliverySettings
from swallowtail.app.core.config.environment import PREFIX, find_unknown, read_values
from swallowtail.app.core.config.http import HttpSettings, WebSettings
from swallowtail.app.core.config.limits import LimitSettings
from swallowtail.app.core.config.locations import LocationSettings
from swallowtail.app.core.config.operations import OperationSettings
from swallowtail.app.core.config.privacy import PrivacySettings
from swallowtail.app.core.config.tasks import TaskSettings
from swallowtail.app.core.errors import SettingsError, explain

#: Larger values overflow in time arithmetic or in the counters of a database.
_LONGEST_SECONDS, _LONGEST_DAYS, _MOST = 1e9, 36_525.0, 10**15
#: Settings outside `AuthSettings` and `HttpSettings` that are of use only if other machines have access.
_REQUIRE_AUTH_IF_SET = frozenset({"database_url", "redis_url", "broker_url", "host", "cors_origins"})
#: Settings of those two classes that do not decide who has access.
_NO_EFFECT_ON_AUTH = frozenset(
    {"auth", "profile", "token", "token_file", "url", "access_check", "token_warning", "refusal_window", "max_refusals"}
)


class Settings(
    PrivacySettings,
    OperationSettings,
    LimitSettings,
    DatabaseSettings,
    AgentSettings,
    TaskSettings,
    DeliverySettings,
    AuthSettings,
    HttpSettings,
    WebSettings,
    LocationSettings,
):
    """The frozen settings of one process. Times are in seconds, sizes in bytes, unless a name has another unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*")
    @classmethod
    def _check_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, float):
            longest = _LONGEST_DAYS if str(info.field_name).endswith("_days") else _LONGEST_SECONDS
            if not math.isfinite(value) or value > longest:
                raise ValueError(f"must be a finite number, and at most {longest:.0f}")
        elif isinstance(value, int) and value > _MOST:
            raise ValueError(f"must be at most {_MOST}")
        return value

    @field_validator("database_url", "redis_url", "broker_url", "var_dir", "openai_base_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: ValidationInfo) -> object:
        # An empty path would mean the working directory, which would become private.
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    @model_validator(mode="after")
    def _check_open(self) -> Self:
        if self.auth == "open" and not is_loopback(self.host):
            raise ValueError("SWALLOWTAIL_AUTH: open is possible on a loopback SWALLOWTAIL_HOST only")
        return self

    @cached_property
    def is_open(self) -> bool:
        """Whether every caller has full access without authentication."""
        return self.auth == "open" or (self.auth == "auto" and not self.requiring_auth)

    @cached_property
    def requiring_auth(self) -> list[str]:
        """Names of the settings that make `auto` require authentication."""
        names = _REQUIRE_AUTH_IF_SET | AuthSettings.model_fields.keys() | HttpSettings.model_fields.keys()
        fields = type(self).model_fields
        differs = [name for name in names - _NO_EFFECT_ON_AUTH if getattr(self, name) != fields[name].default]
        return [name for name in sorted(differs) if name != "host" or not is_loopback(self.host)]

    @property
    def has_probe(self) -> bool:
        """Whether the agent `probe` is available."""
        return self.probe == "on" or (self.probe == "auto" and self.is_open)


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`. Raises SettingsError, whose message names the variable."""
    unknown = find_unknown(Settings.model_fields)
    values: dict[str, Any] = dict(read_values(Settings.model_fields))
    try:
        settings = Settings(**values)
    except ValidationError as invalid:
        raise SettingsError("; ".join([_describe(invalid), *unknown])) from None
    if unknown:
        raise SettingsError("; ".join(unknown))
    return settings


def _describe(invalid: ValidationError) -> str:
    lines = []
    for error in invalid.errors(include_url=False, include_context=False, include_input=False):
        message = explain(error)
        if not error["loc"]:
            # About several settings at once; the message names them.
            lines.append(message)
            continue
        name = PREFIX + str(error["loc"][0]).upper()
        lines.append(f"{name} (or PORT): {message}" if name == "SWALLOWTAIL_PORT" else f"{name}: {message}")
    return "; ".join(lines)
