"""Settings of what is hidden, sealed and kept. Part of `core/settings`, whose docstring holds."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class PrivacySettings(BaseSettings):
    """What is stored, in which form, and for how long."""

    # What is kept
    event_retention_days: float = Field(
        0.0, ge=0, description="Days that events are kept; 0 for ever. An instance's own policy goes before it"
    )
    event_retention_events: int = Field(0, ge=0, description="Latest events kept of each instance; 0 for all")
    task_retention_days: float = Field(
        0.0, ge=0, description="Days that tasks are kept after their end, and events at most; 0 for ever"
    )
    prune_interval: float = Field(60.0, gt=0, description="How often what is no longer kept is looked for")
    prune_batch: int = Field(500, ge=1, le=5000, description="Events, or tasks, deleted in one transaction")
    prune_floor: float = Field(60.0, ge=0, description="Age below which no event is pruned")
