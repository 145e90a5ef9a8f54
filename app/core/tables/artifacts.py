"""The table of artifacts: large inputs and outputs, stored apart from their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from swallowtail.app.core.tables.base import Base, Moment


class Artifact(Base):
    """A large input or output of a task, or input of a schedule. Rows and events have a reference to it."""

    __tablename__ = "artifact"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instance.id", ondelete="CASCADE"))
    task_id: Mapped[str | None] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"), index=True)
    #: The schedule, if it is a schedule's input.
    schedule_id: Mapped[str | None] = mapped_column(ForeignKey("schedule.id", ondelete="CASCADE"), index=True)
    media_type: Mapped[str] = mapped_column(String(100))
    #: Size and SHA-256 (hex) of the decrypted content.
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    #: The redacted content (see `core/payload_redaction/stored_redactions`), as the text that is sent.
    content_shown: Mapped[Any | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    #: Id of the key that encrypted the content; None if it is not encrypted.
    key_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (Index("ix_artifact_instance", "instance_id", "id"),)
