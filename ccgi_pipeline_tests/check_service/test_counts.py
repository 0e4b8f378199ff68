"""The lines with counts: one a minute at most, and none where nothing happened."""

from __future__ import annotations

from ccgi_pipeline.check_service.counts import Counts


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_a_minute_tells_the_counts_and_nothing_else() -> None:
    told: list[str] = []
    clock = Clock()
    counts = Counts(told.append, clock)
    for seconds in range(0, 200, 10):
        clock.now = seconds
        if seconds < 100:
            counts.record_verdict("accepted")
            counts.record_connection("203.0.113.7", "crowded")
        counts.write_ended()
    assert [line.split("start: ")[1] for line in told] == [
        "judged 7 (accepted 7); refused 7 (connection_crowded 7)",
        "judged 10 (accepted 10); refused 10 (connection_crowded 10)",
    ]
    counts.write()
    assert len(told) == 2
    assert "203.0.113.7" not in "".join(told)
