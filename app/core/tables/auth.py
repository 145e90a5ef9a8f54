"""The tables of who may see and do what: users, their memberships, and tokens. Only `core/identity` and its
neighbours write them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class User(Base):
    """Somebody who can be known again: by password, by a personal token, or by an identity provider."""

    __tablename__ = "user_account"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: What the user signs in with; lower case.
    name: Mapped[str] = mapped_column(String(100), unique=True)
    #: argon2id; None for those who sign in elsewhere.
    password_hash: Mapped[str | None] = mapped_column(Text)
    #: The identity provider's name and its name for the user.
    issuer: Mapped[str | None] = mapped_column(String(300))
    subject: Mapped[str | None] = mapped_column(String(300))
    #: May create users and see what belongs to no instance; is no member of any instance by that.
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)
    #: Raised when everything that was issued to the user before is to be worth nothing.
    generation: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        Index("ix_user_account_superuser", "is_superuser", "id"),
    )


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
    """Something issued that lets its bearer in: a session, a personal token, or a token for a front end."""

    __tablename__ = "access_token"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    #: `session`, `personal` or `front_end`.
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200), default="")
    #: SHA-256 of the secret, in hex; None where a signature stands for it.
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    #: Whose it is; for a front end, who minted it.
    user_id: Mapped[str | None] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"))
    #: What it may do at most, as names of `core/security/roles.Act`; None for all that its user may.
    acts: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    #: The one instance, and the one task in it, that it is for.
    instance_id: Mapped[str | None] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    task_id: Mapped[str | None] = mapped_column(String(36))
    #: The fields of `data` that it may see; None for all.
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
    """One row: raised by every change of who may see what, so that every web process looks at its clients again."""

    __tablename__ = "access_version"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger, default=0)
