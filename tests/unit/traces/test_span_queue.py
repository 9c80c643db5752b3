"""Spans on their way to a store that fails: nobody waits, what is lost is counted."""

from collections.abc import Sequence

from typing_extensions import override

from resources.traces.port import SpanRecord, SpansLost, Traces
from resources.traces.queue import SpanQueue
from tests.unit.traces.test_trace_store import record


class FailingStore(Traces):
    """Fails so many times, then takes everything."""

    def __init__(self, failures: int = 0, *, is_final: bool = False) -> None:
        self.failures, self.is_final = failures, is_final
        self.spans: list[SpanRecord] = []
        self.dropped = 0
        self.is_closed = False

    @override
    def write(self, spans: Sequence[SpanRecord]) -> None:
        if self.failures:
            self.failures -= 1
            raise SpansLost("the disk is full", is_final=self.is_final)
        self.spans += spans

    @override
    def write_dropped(self, number: int) -> None:
        self.dropped += number

    @override
    def close(self) -> None:
        self.is_closed = True


def queue(store: Traces, capacity: int = 100) -> SpanQueue[int]:
    return SpanQueue(store, record, capacity=capacity, seconds=0.001)


def test_spans_wait_for_a_store_that_fails_for_a_while() -> None:
    store = FailingStore(failures=3)
    waiting = queue(store)
    for number in range(5):
        waiting.put(number)
    waiting.end(5)
    assert [one.name for one in store.spans] == [f"span {number}" for number in range(5)]
    assert (waiting.dropped, store.is_closed) == (0, True)


def test_what_does_not_fit_is_dropped_counted_and_recorded_once_the_store_works() -> None:
    store = FailingStore(failures=10**9)
    waiting = queue(store, capacity=3)
    for number in range(10):
        waiting.put(number)
    assert waiting.dropped == 7
    store.failures = 0
    waiting.end(5)
    assert (len(store.spans), store.dropped, waiting.dropped) == (3, 7, 7)


def test_a_store_that_never_takes_them_again_drops_the_batch() -> None:
    store = FailingStore(failures=1, is_final=True)
    waiting = queue(store)
    waiting.put(1)
    waiting.flush(5)
    waiting.put(2)
    waiting.end(5)
    assert ([one.name for one in store.spans], waiting.dropped, store.dropped) == (["span 2"], 1, 1)


def test_the_end_waits_no_longer_than_it_says_and_counts_what_is_left() -> None:
    waiting = queue(FailingStore(failures=10**9))
    waiting.put(1)
    waiting.end(0.02)
    assert waiting.dropped == 1
