"""Settings of rate limits, connection quotas and message signing."""

from __future__ import annotations

from typing import Annotated, Literal

from limits import parse_many
from pydantic import AfterValidator, BaseModel, Field

#: The name of an event.
_NAME = "[A-Za-z_][A-Za-z0-9_.:-]{0,63}"


def _check_rate(value: str) -> str:
    if value:
        try:
            parse_many(value)
        except ValueError:
            raise ValueError("must be rates such as 5/minute;20/hour, or empty for no limit") from None
    return value


#: `COUNT/second`, `COUNT/minute`, …; several are joined by `;`.
Rates = Annotated[str, AfterValidator(_check_rate)]


class LimitSettings(BaseModel):
    """How many requests, messages and connections one caller may have."""

    # Limits per caller
    limits: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether rates and numbers of connections are limited; `auto` exempts callers on loopback of an "
        "open deployment",
    )
    limit_timeout: float = Field(
        0.05, gt=0, le=1, description="Longest wait for a count from Redis before the process's own count decides"
    )
    read_limit: Rates = Field("3000/minute", description="REST reads and pages of one user or token")
    write_limit: Rates = Field("600/minute", description="REST writes of one user or token")
    address_read_limit: Rates = Field("6000/minute", description="REST reads and pages from one address")
    address_write_limit: Rates = Field("1200/minute", description="REST writes from one address")
    limit_settle: float = Field(
        0.1, gt=0, le=10, description="How often counts of connections and messages go to Redis"
    )
    connect_limit: Rates = Field("1000/minute", description="New connections from one address")
    user_connect_limit: Rates = Field("300/minute", description="New connections of one user or token")
    message_limit: Rates = Field("3000/minute", description="Socket messages of one connection")
    user_message_limit: Rates = Field("30000/minute", description="Socket messages of one user or token")
    address_message_limit: Rates = Field("60000/minute", description="Socket messages from one address")
    subscribe_limit: Rates = Field("600/minute", description="Subscriptions begun by one connection")
    user_subscribe_limit: Rates = Field("6000/minute", description="Subscriptions begun by one user or token")
    address_subscribe_limit: Rates = Field("12000/minute", description="Subscriptions begun from one address")
    flood_limit: int = Field(500, ge=1, description="Refused messages after which a connection is closed")
    max_address_connections: int = Field(
        2000, ge=1, description="Connections of one address at once, in each web process, of any kind"
    )
    max_user_connections: int = Field(
        200, ge=1, description="Connections of one user, or of one API token, at once in all web processes"
    )
    max_user_instances: int = Field(
        10, ge=0, description="Instances that one user may own at once; 0 means that only superusers create any"
    )
    request_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="How long a request may take to arrive, head and body together, a new connection may be "
        "silent, and an upgrade from polling may take",
    )
    health_reserve: int = Field(
        16, ge=1, le=1024, description="Connections beyond `SWALLOWTAIL_MAX_CONNECTIONS` for `/healthz` and `/readyz`"
    )
    max_opening_bytes: int = Field(
        16_384, ge=1024, description="Largest socket frame or message of a client that has joined no namespace"
    )
    partial_bytes: int = Field(
        67_108_864, ge=65_536, description="Incomplete websocket messages in each web process, in bytes"
    )
    connection_lease: float = Field(15, ge=1, le=3600, description="How long connections of a silent web process count")
    login_limit: Rates = Field("5/minute;20/hour", description="Tries to sign in with one name from one address")
    login_name_limit: Rates = Field("100/hour", description="Tries to sign in with one name from anywhere")
    login_address_limit: Rates = Field("20/minute;200/hour", description="Tries to sign in from one address")

    # Signed messages
    strict_delivery: bool = Field(
        False, description="Whether web processes accept from Redis only what is signed with the deployment's key"
    )
    sign_messages: bool = Field(
        False, description="Whether wake-up messages are signed with that key; workers then discard all others"
    )
    foreign_events: str = Field(
        "",
        pattern=rf"^( *{_NAME} *(, *{_NAME} *)*)?$",
        description="Names, comma separated, of the events that other programs may emit into rooms under strict "
        "delivery",
    )
