"""Reads e-mails, as saved from a mail program or pasted with their head. Off the road of an event: documents are read
by it inside a step.
"""

from __future__ import annotations

import re
from email import message_from_string, policy
from email.errors import MessageError

#: A text that begins with at least two of these is an e-mail.
_HEAD = re.compile(r"(?:(?:[A-Za-z][A-Za-z-]{1,40}:[^\n]{0,2000}|[ \t]+[^\n]{1,2000})\n){2,100}?(?=\n)")
_FIELDS = re.compile(r"^(from|to|subject|date|von|an|betreff|datum|de|à|objet|asunto|para|fecha):", re.I | re.M)
_SUBJECT = re.compile(r"^(?:subject|betreff|objet|asunto):[ \t]*(.{1,300})$", re.IGNORECASE | re.MULTILINE)
_AGAIN = re.compile(r"^(?:(?:re|aw|fwd?|wg|tr|rv)(?:\[\d+\])?:\s*)+", re.IGNORECASE)
#: What an answer quotes, and the line that says so.
_QUOTED = re.compile(
    r"(?:^[^\n>]{0,200}(?:wrote|schrieb[^\n]{0,100}|écrit|escribió)\s?:[ \t]*\n+)?(?:^>[^\n]*\n?)+", re.MULTILINE
)
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
#: Its first and last lines, which speak to somebody.
_GREETING = re.compile(
    r"\A\s*(?:hi|hello|dear|hey|hallo|liebe[rs]?|guten tag|sehr geehrte|bonjour|chère?s?|hola)\b[^\n]{0,80}\n",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^(?:(?:best|kind|warm) (?:regards|wishes)|regards|cheers|thanks|viele grüße|mit freundlichen grüßen"
    r"|cordialement|saludos)\b[^\n]{0,40}\n(?:[^\n]{0,80}\n?){0,3}\Z",
    re.IGNORECASE | re.MULTILINE,
)


def open_mail(text: str) -> tuple[str, str, str] | None:
    """Its subject, its text without what it quotes and its signature, and the text's media type; None if it is none."""
    text = text.replace("\r\n", "\n").lstrip("\n")
    head = _HEAD.match(text)
    if head is None or len({found.lower() for found in _FIELDS.findall(head[0])}) < 2:
        return None
    subject = _SUBJECT.search(head[0])
    kind, body = _body_of(text) or ("", text[head.end() :])
    if kind != "text/html":
        body = _GREETING.sub("", _QUOTED.sub("", _SIGNATURE.split(body)[0]), count=1)
        body = _CLOSING.sub("", body.rstrip() + "\n")
    return _AGAIN.sub("", subject[1].strip()) if subject else "", body, kind if kind == "text/html" else ""


def _body_of(text: str) -> tuple[str, str] | None:
    try:
        part = message_from_string(text, policy=policy.default).get_body(("plain", "html"))
        return (part.get_content_type(), str(part.get_content())) if part is not None else None
    except (MessageError, LookupError, ValueError, AttributeError):
        return None
