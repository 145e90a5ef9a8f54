"""Cases of malformed packets, and their effect on the connection; see `socket_cases`."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.line import PATIENCE, Peer, Surprise


def unknown_type(peer: Peer) -> None:
    """A packet of an unknown type closes the connection, and so does one that is for clients."""
    for packet in ("4abc", "4999", '44["handle me please"]'):
        _expect_end_after(peer, packet)


def wrong_payload(peer: Peer) -> None:
    """An event whose payload is not a list closes the connection."""
    for packet in ("42{}", '42"invalid"'):
        _expect_end_after(peer, packet)


def wrong_connect_payload(peer: Peer) -> None:
    """A CONNECT whose payload is not an object closes the connection; the namespace does not receive it."""
    for packet in ('40"invalid"', "40[]", "40{"):
        with peer.opened() as line:
            line.send(packet)
            line.expect_end()


def wrong_disconnect_payload(peer: Peer) -> None:
    """A DISCONNECT with a payload closes the connection."""
    _expect_end_after(peer, "41{}")


def wrong_event_name(peer: Peer) -> None:
    """An event whose name is neither text nor a number closes the connection."""
    for packet in ('42[{"toString":"foo"}]', '42[true,"foo"]', '42[null,"bar"]', "42[]"):
        _expect_end_after(peer, packet)


def wrong_ack_number(peer: Peer) -> None:
    """An event with an invalid number closes the connection."""
    _expect_end_after(peer, '42abc["message-with-ack",1,"2",{"3":[false]}]')


def wrong_json(peer: Peer) -> None:
    """An event whose payload is not JSON closes the connection."""
    _expect_end_after(peer, '42["a"')


def reserved_event(peer: Peer) -> None:
    """An event with a reserved name closes the connection."""
    for packet in ('42["connect"]', '42["disconnect","123"]'):
        _expect_end_after(peer, packet)


def wrong_attachments(peer: Peer) -> None:
    """An event whose attachments are not those it announced closes the connection."""
    _expect_end_after(peer, '451-["message",{"_placeholder":true,"num":5}]', b"\x01")


def wrong_number_of_attachments(peer: Peer) -> None:
    """A binary packet without its number of attachments closes the connection."""
    for packet in ("45", "451", '45["a"]', '45a-["a"]', '451.23-["a"]', "450-", '450-["a"]', "45woooot"):
        _expect_end_after(peer, packet)


def wrong_placeholder(peer: Peer) -> None:
    """A placeholder that is not a number closes the connection."""
    _expect_end_after(peer, '451-["message",{"_placeholder":true,"num":"splice"}]', b"\x01")


def attachment_of_nothing(peer: Peer) -> None:
    """Binary data that no event announced closes the connection."""
    _expect_end_after(peer, b"\x01\x02")


def text_for_an_attachment(peer: Peer) -> None:
    """Text where an attachment was announced closes the connection."""
    _expect_end_after(peer, '451-["message",{"_placeholder":true,"num":0}]', '42["message"]')


def _expect_end_after(peer: Peer, *packets: str | bytes) -> None:
    with peer.connected() as line:
        line.send(*packets)
        line.expect_end()


def wrong_packet_elsewhere(peer: Peer) -> None:
    """A malformed packet closes the connection, in every namespace."""
    _expect_end_after(peer, '40/custom,"invalid"')
    for packet in ('42/custom,"invalid', "42/custom,{}", "41/custom,{}", '42/custom,["connect"]', '45/custom,["a"]'):
        with peer.connected() as line:
            line.send("40/custom,")
            line.take_packet("42/custom,", len("42/custom,"))
            line.send(packet)
            line.expect_end()


def no_other_client_is_affected(peer: Peer) -> None:
    """Unreadable packets of one client do not affect another."""
    with peer.connected() as other:
        for packet in ('42["a"', "45", '44["handle me please"]'):
            _expect_end_after(peer, packet)
        other.send("421" + peer.wants())
        other.take_ack(1)


def answers_what_it_cannot_read(peer: Peer) -> None:
    """(Ours) An unreadable packet is answered, or closes the connection."""
    for packet in ("4abc", "42{}", '42abc["x",1]', '42["a"', '42["connect"]', "42", "4", "49[]", '451-["x"]', "453-[]"):
        with peer.connected() as line:
            line.send(packet, b"\x01") if packet.startswith("451") else line.send(packet)
            line._socket.settimeout(PATIENCE)
            try:
                answer = line.take()
            except Surprise as end:
                if "timed out" in str(end):
                    raise Surprise(f"{packet!r} is met with silence") from end
                continue
            if not str(answer).startswith('42["error"'):
                raise Surprise(f"{packet!r} is answered {answer!r}")


def empty_acknowledgement_takes_nothing(peer: Peer) -> None:
    """(Ours) After a binary acknowledgement without its attachments, the next event is not taken for one of them."""
    with peer.connected() as line:
        line.send("46", "427" + peer.wants())
        line.take_ack(7)


PACKET_CASES: tuple[Callable[[Peer], None], ...] = (
    unknown_type,
    wrong_payload,
    wrong_connect_payload,
    wrong_disconnect_payload,
    wrong_event_name,
    wrong_ack_number,
    wrong_json,
    reserved_event,
    wrong_attachments,
    wrong_number_of_attachments,
    wrong_placeholder,
    attachment_of_nothing,
    text_for_an_attachment,
    wrong_packet_elsewhere,
    no_other_client_is_affected,
    answers_what_it_cannot_read,
    empty_acknowledgement_takes_nothing,
)
