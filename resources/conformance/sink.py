"""The tests of the sink port."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from models.errors import TesseraError
from models.publishing import Publication, attempt_of, last_set
from resources.conformance.score_sets import (
    APP,
    DAY,
    OUTPUTS,
    SCORES_SCHEMA,
    audit_and_publish,
    digest,
    publication,
    reader,
    score_rows,
    some_rows,
    verdict,
)
from resources.conformance.suite import Conformance, needs
from resources.sink.port import AnotherStands, ErasableSink, RetainedSink, Sink

# pyright: basic, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.

NEXT = DAY + timedelta(days=1)
Open = Callable[[], Sink]


def _erasable(sink: Sink) -> ErasableSink:
    assert isinstance(sink, ErasableSink)
    return sink


def _retained(sink: Sink) -> RetainedSink:
    assert isinstance(sink, RetainedSink)
    return sink


def _published(sink: Sink, attempt: str, rows: pa.Table, day: date = DAY, run_id: str = "run") -> Publication:
    assert sink.write_attempt(APP, day, attempt, reader(rows)) == rows.num_rows
    return audit_and_publish(sink, publication(attempt, rows, day=day, run_id=run_id))


class SinkConformance(Conformance):
    """The tests that every sink must pass. A harness overrides the fixtures `opened` and, if it can erase, `holds`."""

    port: ClassVar = "sink"

    @pytest.fixture
    def opened(self) -> Open:
        """A function that opens the sink under test: empty at first, the same data whenever it is opened again."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def holds(self) -> Callable[[str], bool]:
        """A function that searches all storage of the sink, past the sink, for a row with this `customer_id`."""

        def found(customer: str) -> bool:
            raise NotImplementedError(f"The harness overrides the fixture `holds`, to look for {customer}.")

        return found

    @pytest.fixture
    def sink(self, opened: Open) -> Sink:
        """The sink under test."""
        return opened()

    @pytest.mark.parametrize("output", OUTPUTS)
    def test_rows_of_any_output_contract_are_stored_and_published(self, sink: Sink, output: str) -> None:
        rows = some_rows(1, 40, OUTPUTS[output])
        attempt = attempt_of(digest(rows))
        assert sink.write_attempt(APP, DAY, attempt, reader(rows)) == 40
        assert sink.read_attempt(APP, DAY, attempt).schema == OUTPUTS[output].schema
        assert sink.read_attempt(APP, DAY, attempt).read_all().equals(rows)
        assert _published(sink, attempt, rows).digest == digest(rows)
        assert sink.scores(APP, DAY)[1].read_all().equals(rows)

    @needs("erasable")
    @pytest.mark.parametrize("output", OUTPUTS)
    def test_rows_of_any_output_contract_are_erased(self, sink: Sink, output: str) -> None:
        rows = some_rows(1, 40, OUTPUTS[output])
        attempt = attempt_of(digest(rows))
        assert _published(sink, attempt, rows).digest == digest(rows)
        assert _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana") == {DAY: 1}
        left = rows.filter(pc.field("customer_id") != "c000007")
        found, back = sink.scores(APP, DAY)
        assert back.read_all().equals(left)
        assert found.digest == digest(left)
        assert sink.write_attempt(APP, NEXT, "next", reader(rows)) == 39, "the erased stay out"

    def test_an_application_keeps_its_columns(self, sink: Sink) -> None:
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
        with pytest.raises(TesseraError, match="decision"):
            sink.write_attempt(APP, DAY, "a2", reader(some_rows(1, 40, OUTPUTS["regression"])))
        assert sink.write_attempt("demand", DAY, "a2", reader(some_rows(1, 40, OUTPUTS["regression"]))) == 40

    def test_an_attempt_reads_back_as_it_was_written_and_no_one_else_sees_it(self, sink: Sink) -> None:
        rows = some_rows(1)
        assert sink.write_attempt(APP, DAY, "a1", reader(rows)) == 40
        back = sink.read_attempt(APP, DAY, "a1")
        assert back.schema == SCORES_SCHEMA
        assert back.read_all().equals(rows)
        assert sink.published(APP, DAY) is None
        assert list(sink.published_days(APP)) == []
        assert list(sink.history(APP, DAY)) == []

    def test_the_order_is_that_of_writing_even_where_it_is_wrong(self, sink: Sink) -> None:
        """Else the audit could never see wrong order."""
        rows = some_rows(1).take(list(range(39, -1, -1)))
        sink.write_attempt(APP, DAY, "a1", reader(rows, 3))
        assert sink.read_attempt(APP, DAY, "a1").read_all().equals(rows)

    def test_an_attempt_without_rows_exists(self, sink: Sink) -> None:
        rows = score_rows([])
        assert sink.write_attempt(APP, DAY, "a0", reader(rows)) == 0
        assert sink.read_attempt(APP, DAY, "a0").read_all().num_rows == 0
        assert audit_and_publish(sink, publication("a0", rows)).rows == 0

    def test_writing_an_unpublished_attempt_again_replaces_it(self, sink: Sink) -> None:
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(1, 50)))
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(2, 9)))
        assert sink.read_attempt(APP, DAY, "a1").read_all().equals(some_rows(2, 9))

    def test_attempts_days_and_applications_are_kept_apart(self, sink: Sink) -> None:
        places = [(APP, DAY, "a1"), (APP, DAY, "a2"), (APP, NEXT, "a1"), ("fraud", DAY, "a1")]
        for seed, place in enumerate(places):
            sink.write_attempt(*place, reader(some_rows(seed)))
        sink.write_attempt(*places[0], reader(some_rows(0)))
        for seed, place in enumerate(places):
            assert sink.read_attempt(*place).read_all().equals(some_rows(seed))

    def test_publishing_makes_the_rows_visible(self, sink: Sink, opened: Open) -> None:
        rows = some_rows(1)
        record = _published(sink, "a1", rows)
        for any_sink in (sink, opened()):
            assert any_sink.published(APP, DAY) == record
            assert list(any_sink.published_days(APP)) == [DAY]
            found, back = any_sink.scores(APP, DAY)
            assert found == record
            assert back.read_all().equals(rows)

    def test_publishing_the_same_attempt_again_changes_nothing(self, sink: Sink) -> None:
        first = _published(sink, "a1", some_rows(1), run_id="one")
        assert _published(sink, "a1", some_rows(1), run_id="two") == first
        assert list(sink.history(APP, DAY)) == [first]

    def test_another_attempt_takes_over_and_history_keeps_both(self, sink: Sink) -> None:
        first = _published(sink, "a1", some_rows(1))
        second = _published(sink, "a2", some_rows(2))
        assert sink.published(APP, DAY) == second
        assert list(sink.history(APP, DAY)) == [first, second]
        assert sink.read_attempt(APP, DAY, "a1").read_all().equals(some_rows(1))

    def test_a_set_takes_the_place_only_of_the_set_that_was_compared(self, sink: Sink) -> None:
        first = _published(sink, "a1", some_rows(1))
        second = publication("a2", some_rows(2))
        sink.write_attempt(APP, DAY, "a2", reader(some_rows(2)))
        sink.record_audit(verdict(second))
        for seen in (None, "a0", "a2"):
            with pytest.raises(AnotherStands, match=r"'a1' .* is published now"):
                sink.publish(second, replaces=seen)
        assert list(sink.history(APP, DAY)) == [first]
        assert sink.publish(publication("a1", some_rows(1), run_id="again"), replaces=None) == first
        assert sink.publish(second, replaces="a1") == second
        sink.unpublish(APP, DAY, why="", who="")
        with pytest.raises(AnotherStands, match="nothing is published now"):
            sink.publish(second, replaces="a2")
        assert sink.publish(second, replaces=None) == second

    def test_of_many_publishers_who_saw_the_same_set_one_takes_its_place(self, opened: Open) -> None:
        rows = {f"a{seed}": some_rows(seed, 10) for seed in range(1, 6)}
        for attempt, each in rows.items():
            opened().write_attempt(APP, DAY, attempt, reader(each))
            opened().record_audit(verdict(publication(attempt, each)))
        ready = threading.Barrier(len(rows))

        def publish(attempt: str) -> str | None:
            sink = opened()
            seen = sink.published(APP, DAY)
            ready.wait(timeout=60)
            try:
                return sink.publish(publication(attempt, rows[attempt]), replaces=seen and seen.attempt).attempt
            except AnotherStands:
                return None

        with ThreadPoolExecutor(len(rows)) as pool:
            (won,) = [attempt for attempt in pool.map(publish, rows) if attempt]
        history = opened().history(APP, DAY)
        assert [record.attempt for record in history] == [won]

    def test_unpublish_hides_the_day_and_keeps_rows_and_history(self, sink: Sink) -> None:
        first = _published(sink, "a1", some_rows(1))
        before = datetime.now(UTC)
        assert sink.unpublish(APP, DAY, why="wrong prices", who="ana") == first
        assert sink.published(APP, DAY) is None
        assert list(sink.published_days(APP)) == []
        records = sink.history(APP, DAY)
        assert [record.action for record in records] == ["publish", "unpublish"]
        assert (records[1].why, records[1].who, records[1].attempt) == ("wrong prices", "ana", "a1")
        assert before <= records[1].published_at <= datetime.now(UTC)
        assert sink.unpublish(APP, DAY, why="again", who="ana") is None
        assert len(sink.history(APP, DAY)) == 2
        again = sink.publish(publication("a1", some_rows(1), run_id="back"))
        assert sink.published(APP, DAY) == again
        assert again.run_id == "back"

    def test_published_rows_never_change(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1))
        with pytest.raises(TesseraError, match="a1"):
            sink.write_attempt(APP, DAY, "a1", reader(some_rows(2)))
        sink.unpublish(APP, DAY, why="", who="")
        with pytest.raises(TesseraError, match="a1"):
            sink.write_attempt(APP, DAY, "a1", reader(some_rows(1).slice(1)))
        assert sink.read_attempt(APP, DAY, "a1").read_all().equals(some_rows(1))

    def test_what_was_not_audited_is_not_published(self, sink: Sink) -> None:
        rows = some_rows(1)
        sink.write_attempt(APP, DAY, "a1", reader(rows))
        with pytest.raises(TesseraError, match="never audited"):
            sink.publish(publication("a1", rows))
        assert (sink.draft(APP, DAY), list(sink.audits(APP, DAY))) == (None, [])
        sink.record_audit(verdict(publication("a1", rows)))
        with pytest.raises(TesseraError, match="a2"):
            sink.publish(publication("a2", rows))
        with pytest.raises(TesseraError, match=r"holds 40 rows .* not 39"):
            sink.publish(publication("a1", rows.slice(1)))
        with pytest.raises(TesseraError, match="a1"):
            sink.publish(publication("a1", rows, day=NEXT))
        assert list(sink.history(APP, DAY)) == []

    def test_rows_that_changed_after_their_audit_are_not_published(self, sink: Sink) -> None:
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
        sink.record_audit(verdict(publication("a1", some_rows(1))))
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(2)))
        for record in (publication("a1", some_rows(1)), publication("a1", some_rows(2))):
            with pytest.raises(TesseraError, match="audited, unchanged"):
                sink.publish(record)
        assert sink.published(APP, DAY) is None

    def test_a_blocked_set_is_not_published_for_anyone(self, sink: Sink, opened: Open) -> None:
        """The newest verdict counts, and one of another day or attempt says nothing."""
        rows = some_rows(1)
        record = publication("a1", rows)
        for day in (DAY, NEXT):
            sink.write_attempt(APP, day, "a1", reader(rows))
        sink.record_audit(verdict(publication("a1", rows, day=NEXT)))
        sink.record_audit(verdict(record))
        blocked = verdict(record, order="2 rows come before a smaller entity id")
        sink.record_audit(blocked)
        for any_sink in (sink, opened()):
            assert any_sink.draft(APP, DAY) == any_sink.audited(APP, DAY, "a1") == blocked
            with pytest.raises(
                TesseraError, match=r"audit blocked .* order: 2 rows come .* `tessera run churn_fallback"
            ):
                any_sink.publish(record)
            with pytest.raises(TesseraError, match="audit blocked"):
                any_sink.publish(record.model_copy(update={"why": "sure", "who": "ana"}), overrule=True)
        assert [found.passed for found in sink.audits(APP, DAY)] == [True, False]
        assert sink.published(APP, DAY) is None

    def test_a_person_may_overrule_a_comparison_and_the_record_says_so(self, sink: Sink) -> None:
        rows = some_rows(1)
        record = publication("a1", rows)
        sink.write_attempt(APP, DAY, "a1", reader(rows))
        sink.record_audit(verdict(record, distribution="PSI 0.98"))
        with pytest.raises(TesseraError, match="--even-if-refused"):
            sink.publish(record)
        with pytest.raises(TesseraError, match="audit blocked"):
            sink.publish(record, overrule=True)
        by_hand = record.model_copy(update={"why": "a campaign", "who": "ana"})
        assert sink.publish(by_hand, overrule=True).refused == {"distribution": "PSI 0.98"}
        assert sink.published(APP, DAY).why == "a campaign"

    def test_the_registry_s_counter_is_not_part_of_the_digest(self, sink: Sink) -> None:
        rows = some_rows(1)
        renumbered = rows.set_column(4, SCORES_SCHEMA.field("model_version"), pa.array(["6"] * 40))
        assert digest(renumbered) == digest(rows)
        _published(sink, "a1", rows)
        assert _published(sink, "a1", renumbered).digest == digest(rows), "the same set, published already"

    def test_published_again_with_another_digest_is_refused(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1))
        with pytest.raises(TesseraError, match="audited, unchanged"):
            sink.publish(publication("a1", some_rows(2)))

    def test_the_last_published_day_before_a_day(self, sink: Sink) -> None:
        first = _published(sink, "a1", some_rows(1), DAY)
        _published(sink, "a1", some_rows(2), NEXT)
        assert sink.last_published(APP, DAY) is None
        assert sink.last_published(APP, NEXT) == first
        sink.unpublish(APP, NEXT, why="", who="")
        assert sink.last_published(APP, NEXT + timedelta(days=9)) == first
        assert list(sink.published_days(APP)) == [DAY]

    def test_asking_for_what_does_not_exist_says_what_does(self, sink: Sink) -> None:
        with pytest.raises(TesseraError, match="none exists yet"):
            sink.scores(APP, DAY)
        with pytest.raises(TesseraError, match="a1"):
            sink.read_attempt(APP, DAY, "a1")
        _published(sink, "a1", some_rows(1))
        with pytest.raises(TesseraError, match=DAY.isoformat()):
            sink.scores(APP, NEXT)

    @pytest.mark.parametrize("name", ["a/b", "..", "a b", "day=1", "a'--", "A1"])
    def test_an_odd_name_is_refused_or_kept_apart_like_any_other(self, sink: Sink, name: str) -> None:
        for place in ((name, DAY, "a1"), (APP, DAY, name)):
            sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
            try:
                sink.write_attempt(*place, reader(some_rows(2)))
            except TesseraError as error:
                assert name in str(error)  # noqa: PT017 - or it is not refused
            else:
                assert sink.read_attempt(*place).read_all().equals(some_rows(2))
            assert sink.read_attempt(APP, DAY, "a1").read_all().equals(some_rows(1))

    def test_other_columns_and_missing_values_are_refused_and_leave_nothing(self, sink: Sink) -> None:
        rows = some_rows(1)
        with pytest.raises(TesseraError, match="feature_version"):
            sink.write_attempt(APP, DAY, "a1", reader(rows.drop_columns(["feature_version"])))
        field = SCORES_SCHEMA.field("decision")
        holes = rows.set_column(2, field, pa.array([None, *rows["decision"].to_pylist()[1:]], pa.string()))
        with pytest.raises(TesseraError, match="decision"):
            sink.write_attempt(APP, DAY, "a1", reader(holes))
        with pytest.raises(TesseraError, match="a1"):
            sink.read_attempt(APP, DAY, "a1")

    def test_a_writer_whose_rows_fail_leaves_the_earlier_attempt(self, sink: Sink) -> None:
        rows = some_rows(1)
        sink.write_attempt(APP, DAY, "a1", reader(rows))

        def broken() -> pa.RecordBatchReader:
            def batches():
                yield some_rows(2).to_batches()[0]
                raise RuntimeError("the model fell over")

            return pa.RecordBatchReader.from_batches(SCORES_SCHEMA, batches())

        with pytest.raises(RuntimeError, match="fell over"):
            sink.write_attempt(APP, DAY, "a1", broken())
        assert sink.read_attempt(APP, DAY, "a1").read_all().equals(rows)

    @pytest.mark.parametrize(("seed", "fails"), [(1, False), (2, True)])
    def test_an_attempt_published_while_it_is_written_once_more_stays(self, sink: Sink, seed: int, fails: bool) -> None:
        def meanwhile() -> Iterator[pa.RecordBatch]:
            first, *others = some_rows(seed).to_batches(max_chunksize=7)
            yield first
            _published(sink, "a1", some_rows(1))
            yield from others

        late = pa.RecordBatchReader.from_batches(SCORES_SCHEMA, meanwhile())
        with pytest.raises(TesseraError, match="a1") if fails else nullcontext():
            assert sink.write_attempt(APP, DAY, "a1", late) == 40
        assert sink.scores(APP, DAY)[1].read_all().equals(some_rows(1))

    @needs("erasable")
    def test_the_erased_leave_every_attempt_and_what_is_published_stays_published(self, sink: Sink) -> None:
        first, second, third = some_rows(1), some_rows(2), some_rows(3)
        _published(sink, "a1", first, run_id="one")
        standing = _published(sink, "a2", second, run_id="two")
        _published(sink, "b1", first, NEXT)
        sink.unpublish(APP, NEXT, why="", who="")
        sink.write_attempt(APP, DAY, "a3", reader(third))
        plans: list[object] = []
        assert _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana", planned=plans.append) == {
            DAY: 3,
            NEXT: 1,
        }
        assert plans == [{DAY: 3, NEXT: 1}]

        found, back = sink.scores(APP, DAY)
        left = second.filter(pc.field("customer_id") != "c000007")
        assert back.read_all().equals(left)
        assert (found.action, found.was, found.rows, found.digest) == ("forget", "a2", 39, digest(left))
        assert (found.attempt, found.run_id, found.why, found.who) == (attempt_of(digest(left)), "two", "asked", "ana")
        assert (found.counts, found.metrics) == (standing.counts, standing.metrics)
        assert [(r.action, r.was) for r in sink.history(APP, DAY)] == [
            ("publish", ""),
            ("publish", ""),
            ("forget", "a1"),
            ("forget", "a2"),
        ]
        assert list(sink.published_days(APP)) == [DAY], "a day that was withdrawn stays withdrawn"
        for attempt in ("a1", "a2", "a3"):
            with pytest.raises(TesseraError, match=attempt):
                sink.read_attempt(APP, DAY, attempt)
        assert (
            _erasable(sink).forget(
                APP, "customer_id", "c000007", why="asked", who="ana", planned=lambda _: pytest.fail("nothing")
            )
            == {}
        )
        assert len(sink.history(APP, DAY)) == 4

    @needs("erasable")
    def test_the_same_night_again_finds_what_the_erased_left(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1), run_id="one")
        _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana")
        left = some_rows(1).filter(pc.field("customer_id") != "c000007")
        again = _published(sink, attempt_of(digest(left)), left, run_id="two")
        assert (again.run_id, again.action) == ("one", "forget")
        assert len(sink.history(APP, DAY)) == 2

    @needs("erasable")
    def test_a_withdrawn_day_comes_back_without_the_erased(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1))
        sink.unpublish(APP, DAY, why="", who="")
        _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana")
        assert sink.published(APP, DAY) is None
        last, stands = last_set(sink.history(APP, DAY))
        assert last is not None
        assert (last.action, last.rows, stands) == ("forget", 39, False)
        back = sink.publish(last)
        assert (back.action, back.was) == ("publish", "")
        assert sink.scores(APP, DAY)[0] == back
        assert _erasable(sink).forget(APP, "customer_id", "c000008", why="asked too", who="ana") == {DAY: 1}
        assert sink.published(APP, DAY).rows == 38

    @needs("erasable")
    def test_the_erased_do_not_come_back(self, sink: Sink, opened: Open) -> None:
        assert _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana") == {}
        left = some_rows(1).filter(pc.field("customer_id") != "c000007")
        for any_sink in (sink, opened()):
            assert any_sink.write_attempt(APP, DAY, "a1", reader(some_rows(1))) == 39
            assert any_sink.read_attempt(APP, DAY, "a1").read_all().equals(left)
        audit_and_publish(sink, publication("a1", left))
        assert sink.write_attempt(APP, DAY, "a1", reader(some_rows(1))) == 39, "compared without them, too"
        assert sink.write_attempt("fraud", DAY, "a1", reader(some_rows(1))) == 40, "of another application"

    @needs("erasable")
    def test_an_attempt_of_no_one_else_goes_on_empty(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1, 1))
        assert _erasable(sink).forget(APP, "customer_id", "c000000", why="asked", who="ana") == {DAY: 1}
        found, back = sink.scores(APP, DAY)
        assert (found.rows, back.read_all().num_rows) == (0, 0)

    @needs("erasable")
    @pytest.mark.parametrize("begun", [False, True])
    def test_rows_written_while_somebody_is_erased_are_refused(
        self, sink: Sink, holds: Callable[[str], bool], begun: bool
    ) -> None:
        sink.write_attempt(APP, NEXT, "b1", reader(some_rows(1)))

        def meanwhile() -> Iterator[pa.RecordBatch]:
            first, *others = some_rows(1).to_batches(max_chunksize=7)
            if begun:
                yield first
            _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana")
            yield from others if begun else [first, *others]

        with pytest.raises(TesseraError):
            sink.write_attempt(APP, DAY, "a1", pa.RecordBatchReader.from_batches(SCORES_SCHEMA, meanwhile()))
        with pytest.raises(TesseraError, match="a1"):
            sink.read_attempt(APP, DAY, "a1")
        assert (holds("c000007"), holds("c000008")) == (False, True)
        assert sink.write_attempt(APP, DAY, "a1", reader(some_rows(1))) == 39

    @needs("erasable")
    def test_it_lists_the_applications_that_it_holds_rows_of(self, sink: Sink) -> None:
        assert _erasable(sink).apps() == {}
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
        sink.write_attempt("payments", DAY, "a1", reader(some_rows(1, 40, OUTPUTS["payments"])))
        expected = {APP: SCORES_SCHEMA.names, "payments": OUTPUTS["payments"].schema.names}
        assert {app: list(columns) for app, columns in _erasable(sink).apps().items()} == expected

    @needs("erasable")
    def test_nothing_that_is_stored_holds_the_erased(self, sink: Sink, holds: Callable[[str], bool]) -> None:
        sink.write_attempt(APP, DAY, "a1", reader(some_rows(1, 50)))
        _published(sink, "a1", some_rows(2, 30))
        _erasable(sink).forget(APP, "customer_id", "c000007", why="asked", who="ana")
        assert [holds(f"c{number:06d}") for number in (6, 7, 29, 35)] == [True, False, True, False]

    @needs("retained")
    def test_vacuum_removes_only_old_attempts_that_history_does_not_name(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1))
        _published(sink, "a2", some_rows(2))
        sink.unpublish(APP, DAY, why="", who="")
        sink.write_attempt(APP, DAY, "a3", reader(some_rows(3)))
        assert _retained(sink).vacuum(APP, keep_hours=1) == 0
        assert sink.read_attempt(APP, DAY, "a3").read_all().equals(some_rows(3))
        assert _retained(sink).vacuum(APP, keep_hours=0) > 0
        with pytest.raises(TesseraError, match="a3"):
            sink.read_attempt(APP, DAY, "a3")
        for seed in (1, 2):
            assert sink.read_attempt(APP, DAY, f"a{seed}").read_all().equals(some_rows(seed))
        assert _retained(sink).vacuum(APP, keep_hours=0) == 0

    @needs("retained")
    def test_vacuum_of_an_application_without_scores(self, sink: Sink) -> None:
        assert _retained(sink).vacuum("fraud", keep_hours=0) == 0

    def test_it_says_that_it_works(self, sink: Sink) -> None:
        health = sink.check()
        assert health.ok
        assert health.says
