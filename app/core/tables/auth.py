"""The tables of users, memberships and tokens. `core/identity` writes them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class User(Base):
    """A user, who signs in by password, by a personal token, or at an identity provider."""

    __tablename__ = "user_account"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: What the user signs in with; lower case.
    name: Mapped[str] = mapped_column(String(100), unique=True)
    #: argon2id; None for users of an identity provider.
    password_hash: Mapped[str | None] = mapped_column(Text)
    #: The identity provider and its id of the user.
    issuer: Mapped[str | None] = mapped_column(String(300))
    subject: Mapped[str | None] = mapped_column(String(300))
    #: May manage users and what is outside of instances; this makes the user no member of an instance.
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    #: Raised to invalidate everything issued to the user before.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (UniqueConstraint("issuer", "subject"), Index("ix_user_account_superuser", "is_superuser", "id"))


class Membership(Base):
    """A user's role in an instance."""

    __tablename__ = "membership"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    #: One of `core/security/roles.Role`.
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_membership_user", "user_id"),)


class AccessToken(Base):
    """A session, a personal token or an API token."""

    __tablename__ = "access_token"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: `session`, `personal` or `front_end`.
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200), default="")
    #: SHA-256 of the secret, in hex; None for signed tokens.
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    #: The owner; for an API token, its creator.
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    #: The allowed acts (`core/security/roles.Act`); None for all acts of the user.
    acts: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    #: The only instance, and the only task, that it is for.
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    task_id: Mapped[str | None] = mapped_column(String(36))
    #: The visible fields of `data`; None for all.
    fields: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    expires_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        Index("ix_access_token_user", "user_id", "kind", "expires_at"),
        Index("ix_access_token_instance", "instance_id", "kind", "expires_at"),
    )


class AccessVersion(Base):
    """One row, raised by every change of permissions, so that web processes check their clients again."""

    __tablename__ = "access_version"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
