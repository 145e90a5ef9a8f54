"""What a load client received is parsed correctly: numbers in order, times of pieces, losses."""

from __future__ import annotations

from bench.arrivals import Arrivals, percentile, read


def arrivals(*pieces: tuple[int, bytes]) -> Arrivals:
    return Arrivals([piece for _, piece in pieces], [time for time, _ in pieces])


def test_an_event_arrives_with_the_piece_that_ends_its_mark() -> None:
    came = arrivals((110, b"..@1:100@..@2:10"), (125, b"5@...."), (190, b"@3:150@"))
    reading = read(came, 0)
    assert reading.latencies({}) == [10, 20, 40]
    assert (reading.last, reading.repeats, reading.gaps) == (3, 0, 0)


def test_a_repeated_number_is_a_repeat_and_a_skipped_one_a_gap() -> None:
    reading = read(arrivals((9, b"@4:1@@5:1@@5:1@@8:1@")), 3)
    assert (reading.last, reading.repeats, reading.gaps) == (8, 1, 1)
    assert reading.numbers == [4, 5, 8]


def test_the_place_of_a_client_with_recovery_is_that_of_its_last_event() -> None:
    came = arrivals(
        (1, b'["task_update",{"message":"@1:0@"},"171-0"]'), (2, b'["task_update",{"message":"@2:0@"},"171-4"]')
    )
    assert read(came, 0).offset == "171-4"
    assert read(Arrivals(), 0).offset == ""


def test_percentiles_are_milliseconds() -> None:
    assert [percentile([1_000_000, 2_000_000, 3_000_000], share) for share in (0.5, 0.99, 1.0)] == [2.0, 3.0, 3.0]


def test_a_latency_is_counted_from_the_commit_where_there_is_one() -> None:
    reading = read(arrivals((130, b"@1:100@@2:110@"), (190, b"@3:150@")), 0)
    commits = {"1": 120, "3": 155}
    assert reading.latencies(commits) == [10, 20, 35]
    assert reading.pauses(commits) == [20, 5]
    assert reading.pauses({}) == []
