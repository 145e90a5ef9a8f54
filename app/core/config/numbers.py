"""What holds for every number among the settings. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings

#: A larger one overflows where moments are reckoned with, or a database counts.
_LONGEST_SECONDS, _LONGEST_DAYS, _MOST = 1e9, 36_525.0, 10**15


class NumberSettings(BaseSettings):
    """Keeps times and numbers that nothing can be done with out of all settings."""

    @field_validator("*")
    @classmethod
    def _bearable(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, float):
            longest = _LONGEST_DAYS if str(info.field_name).endswith("_days") else _LONGEST_SECONDS
            if not math.isfinite(value) or value > longest:
                raise ValueError(f"must be a finite number, and at most {longest:.0f}")
        elif isinstance(value, int) and value > _MOST:
            raise ValueError(f"must be at most {_MOST}")
        return value
