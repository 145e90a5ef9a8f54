"""Schemas of instances, their policies, and the agents that they can use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from swallowtail.app.core.schemas.fields import InstanceId, Schema, Timestamp
from swallowtail.app.core.schemas.requests import RequestBody


class InstanceView(Schema):
    """A workspace: one event log, one Socket.IO room."""

    id: Annotated[InstanceId, Field(description="Id, used in URLs")]
    name: Annotated[str, Field(description="Display name")]
    epoch: Annotated[str, Field(description="Id of the current log; a new one means that event numbers start again")]
    seq: Annotated[int, Field(description="Number of the latest event")]
    created_at: Annotated[Timestamp, Field(description="When it was created")]


class DeletedRows(Schema):
    """Number of deleted objects."""

    tasks: Annotated[int, Field(description="Tasks, with their steps and artifacts")]
    events: Annotated[int, Field(description="Events")]


class NewPolicy(RequestBody):
    """Retention and redaction rules to set; null or absent means the server's setting."""

    event_days: float | None = None
    """Days that events are kept; 0 means forever"""
    task_days: float | None = None
    """Days that finished tasks are kept, and the most for events; 0 means forever"""
    secret_fields: list[str] | None = None
    """Names of fields to hide, at any depth, in any spelling"""
    hide_emails: bool | None = None
    """Whether e-mail addresses are hidden"""


class PolicyView(Schema):
    """Retention and redaction rules of one instance; null means the server's setting."""

    instance_id: Annotated[InstanceId, Field(description="Instance")]
    event_days: Annotated[float | None, Field(description="Days that events are kept; 0 means forever")]
    task_days: Annotated[
        float | None, Field(description="Days that finished tasks are kept, and the most for events; 0 means forever")
    ]
    secret_fields: Annotated[
        list[str] | None, Field(description="Fields to hide, in addition to those of the settings and the agents")
    ]
    hide_emails: Annotated[bool | None, Field(description="Whether e-mail addresses are hidden")]
    updated_at: Annotated[Timestamp | None, Field(description="When the policy was last changed; null if never")]


class AgentView(Schema):
    """An agent's card: what it does and which input it takes."""

    kind: Annotated[str, Field(description="Kind, used in submissions")]
    title: Annotated[str, Field(description="Display name")]
    description: Annotated[str, Field(description="What it does")]
    version: Annotated[str, Field(description="Version of the agent")]
    input_schema: Annotated[dict[str, Any], Field(description="JSON Schema 2020-12 of a submission's `input`")]
    soft_time_limit: Annotated[
        float | None, Field(description="Seconds after which a run is asked to stop; null means the server's setting")
    ]
    hard_time_limit: Annotated[
        float | None, Field(description="Seconds after which a run is killed; null means the server's setting")
    ]
