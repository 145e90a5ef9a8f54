"""Reads e-mails that were saved from a mail program or pasted with their headers."""

from __future__ import annotations

import re
from email import message_from_string, policy
from email.errors import MessageError

from swallowtail.workers.reading.charsets import decode

#: A text that begins with at least two of these headers is an e-mail.
_HEAD = re.compile(r"(?:(?:[^\W\d_][\w-]{0,40}[ \u00a0]?[:：][^\n]{0,2000}|[ \t][^\n]{1,2000})\n){2,100}?(?=\n)")
_NAMES = """
from to cc subject date sent von an betreff datum gesendet de à objet date envoyé asunto para fecha da a oggetto data
assunto van aan onderwerp od do temat от кому тема дата 差出人 宛先 件名 日時 发件人 收件人 主题
"""
_SUBJECTS = "subject betreff objet asunto oggetto assunto onderwerp temat тема 件名 主题"
_FIELDS = re.compile(rf"^({'|'.join(_NAMES.split())})[ \u00a0]?[:：]", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(
    rf"^(?:{'|'.join(_SUBJECTS.split())})[ \u00a0]?[:：][ \t]*(.{{1,300}})$", re.IGNORECASE | re.MULTILINE
)
#: Headers by the standard; the text may consist of encoded parts.
_STANDARD = re.compile(r"^(?:from|subject|mime-version|content-type):", re.IGNORECASE | re.MULTILINE)
_AGAIN = re.compile(r"^(?:(?:re|aw|fwd?|wg|tr|rv|r|i|enc|res|odp|antw|doorst)(?:\[\d+\])?:\s*)+", re.IGNORECASE)
#: A quotation in a reply, and the line that introduces it.
_QUOTED = re.compile(
    r"(?:^[^\n>]{0,200}(?:wrote|schrieb[^\n]{0,100}|écrit|escribió|scritto|escreveu|schreef|napisał[^\n]{0,100}"
    r"|написал[^\n]{0,100})\s?:[ \t]*\n+)?(?:^>[^\n]*\n?)+",
    re.MULTILINE,
)
#: The line above a forwarded message.
_MESSAGE = re.compile(r"^-{2,20} ?([^\W\d_][^\n-]{3,60}?) ?-{2,20}[ \t]*\n", re.MULTILINE)
_FORWARDED = re.compile(
    r"forward|weitergeleit|transf|reenvi|inoltrat|encaminha|doorgest|przekazan|перес", re.IGNORECASE
)
#: Most messages within each other that are read.
_DEEPEST = 5
#: Characters below such a line in which the headers must begin.
_LONGEST_HEAD = 5000
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
#: Salutations and closing lines.
_GREETING = re.compile(
    r"\A\s*(?:hi|hello|dear|hey|hallo|liebe[rs]?|guten tag|sehr geehrte|moin|servus|bonjour|salut|chère?s?|hola"
    r"|estimad[oa]s?|buenos días|ciao|salve|buongiorno|gentil[ei]|car[oaie]|olá|prezad[oa]s?|bom dia|beste|geachte|hoi"
    r"|cześć|dzień dobry|szanown\w+|здравствуйте|привет|уважаем\w+|добрый день)\b[^\n]{0,80}\n",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^(?:(?:best|kind|warm) (?:regards|wishes)|regards|cheers|thanks|(?:viele|liebe|beste|herzliche) grüße"
    r"|mit freundlichen grüßen|(?:bien )?cordialement|saludos|un saludo|atentamente|(?:cordiali|distinti) saluti|saluti"
    r"|atenciosamente|abraços|met vriendelijke groet(?:en)?|groeten|pozdrawiam|z poważaniem|с уважением)\b[^\n]{0,40}\n"
    r"(?:[^\n]{0,80}\n?){0,3}\Z",
    re.IGNORECASE | re.MULTILINE,
)


def open_mail(text: str, depth: int = 0) -> tuple[str, str, str] | None:
    """Return subject, text without quotations and signature, and media type; None if it is not an e-mail."""
    text = text.replace("\r\n", "\n").lstrip("\n")
    head = _find_head(text)
    if head is None:
        return None
    subject = _SUBJECT.search(head[0])
    kind, body = (_body_of(text) if _STANDARD.search(head[0]) else None) or ("", text[head.end() :])
    if kind != "text/html":
        body, forwarded = _split(body, depth)
        body = _GREETING.sub("", _QUOTED.sub("", _SIGNATURE.split(body)[0]), count=1)
        body = _CLOSING.sub("", body.rstrip() + "\n") + forwarded
    return _AGAIN.sub("", subject[1].strip()) if subject else "", body, kind if kind == "text/html" else ""


def _split(body: str, depth: int) -> tuple[str, str]:
    """Return the writer's text, and the text of a forwarded message; a quoted message is left out."""
    for match in _MESSAGE.finditer(body):
        # Other lines between dashes are headings.
        if _find_head(body[match.end() :][:_LONGEST_HEAD].lstrip("\n")) is not None:
            break
    else:
        return body, ""
    inner = open_mail(body[match.end() :], depth + 1) if depth < _DEEPEST and _FORWARDED.search(match[1]) else None
    return body[: match.start()], f"\n\n{inner[1]}" if inner and not inner[2] else ""


def _find_head(text: str) -> re.Match[str] | None:
    head = _HEAD.match(text)
    return head if head and len({match.lower() for match in _FIELDS.findall(head[0])}) >= 2 else None


def _body_of(text: str) -> tuple[str, str] | None:
    try:
        part = message_from_string(text, policy=policy.default).get_body(("plain", "html"))
        if part is None:
            return None
        inner: object = part.get_payload()
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable"):
            # Decoded with the character sets of `charsets`, not with Python's codecs.
            inner = decode(bytes(part.get_payload(decode=True)), part.get_content_charset())
        return part.get_content_type(), str(inner)
    except (MessageError, LookupError, ValueError, AttributeError, TypeError):
        return None
