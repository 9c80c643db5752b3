"""Rows that arrive late, twice, rewritten, moved or ahead of time: none is lost or doubled, no earlier day changes."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.ingestion.run import Ingested, ingest
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.source.files import FilesSource, FilesSourceConfig

FIRST = date(2026, 3, 1)
HEADER = "order_line_id,order_id,customer_id,product_id,ordered_at,quantity,unit_price,currency,country,is_return"
CONFIG = IngestionConfig(max_quarantined_share=1.0)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def line(key: str, number: int, quantity: str = "1") -> list[str]:
    at = datetime.combine(day(number), datetime.min.time()) + timedelta(hours=9)
    return [key, f"o-{key}", "c1", "p1", str(at), quantity, "6.50", "EUR", "Germany", "false"]


def write(file: Path, rows: list[list[str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([HEADER.split(","), *rows])


def append(file: Path, rows: list[list[str]]) -> None:
    with file.open("a", newline="") as opened:
        csv.writer(opened).writerows(rows)


class Shop:
    """A folder of CSV files and the lake that they are ingested into."""

    def __init__(self, folder: Path, lake: str = "lake", files: str = "in") -> None:
        self.folder, self.files = folder, folder / files
        self.lake = DeltaLake(str(folder / lake))
        self.files.mkdir(exist_ok=True)

    def source(self, where: str = "") -> FilesSource:
        table = {"location": str(self.files), "where": where}
        return FilesSourceConfig(tables={"orders": table}, cache=str(self.folder / "cache")).open()

    def night(self, number: int, config: IngestionConfig = CONFIG, where: str = "") -> Ingested:
        return ingest("orders", self.source(where), self.lake, day(number), config, "r")

    def physical_rows(self) -> int:
        """Counted by a reader of its own."""
        total = 0
        for file in self.files.rglob("*.csv"):
            with file.open(newline="") as opened:
                total += sum(1 for _ in csv.reader(opened)) - 1
        return total


def kept(lake: Lake) -> list[tuple[str, date]]:
    rows = lake.scan("orders").to_table().to_pylist()
    return sorted((row["order_line_id"], row["delivered_on"]) for row in rows)


def held(lake: Lake) -> int:
    return sum(counts.held for counts in complete_days(lake, "orders").values())


def refused(lake: Lake) -> list[dict[str, object]]:
    return lake.scan("quarantine_orders").to_table().to_pylist()


def accounted(shop: Shop, report: Ingested) -> int:
    """Rows of the source that are in the lake or counted; none of its files has gone."""
    stand = len(kept(shop.lake)) + len(refused(shop.lake)) + held(shop.lake)
    return stand + report.rows_excluded + report.rows_waiting + report.rows_before


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_late_rows_are_delivered_on_the_night_on_which_their_file_was_first_seen(shop: Shop) -> None:
    first = [line(f"a{n}", 0) for n in range(10)]
    second = [line(f"b{n}", 8) for n in range(10)] + [line(f"late{n}", 0) for n in range(5)]
    write(shop.files / "orders_2026-03-01.csv", first)
    for number in (0, 1, 7):
        shop.night(number)
    before = shop.lake.scan("orders", last=day(7)).to_table()
    write(shop.files / "orders_2026-03-09.csv", second)
    report = shop.night(8)
    assert (report.rows_in, report.rows_kept, report.rows_late) == (15, 15, 5)
    assert shop.lake.scan("orders", last=day(7)).to_table() == before
    assert [d for key, d in kept(shop.lake) if key.startswith("late")] == [day(8)] * 5
    assert accounted(shop, report) == shop.physical_rows() == 25

    version = shop.lake.version("orders")
    for number in (8, 3, 0, 8):
        assert accounted(shop, shop.night(number)) == 25
    assert shop.lake.version("orders") == version


def test_a_home_that_finds_all_files_at_once_delivers_each_row_on_its_own_day(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0)])
    write(shop.files / "b.csv", [line("b", 8), line("late", 0)])
    report = shop.night(8)
    assert kept(shop.lake) == [("a", day(0)), ("b", day(8)), ("late", day(0))]
    assert accounted(shop, report) == 3


def test_lines_appended_to_a_file_are_a_unit_of_their_own(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0), line("a", 0), line("bad", 0, "0")])
    shop.night(1)
    append(shop.files / "a.csv", [line("b", 2), line("late", 0), line("a", 0)])
    report = shop.night(2)
    assert kept(shop.lake) == [("a", day(0)), ("b", day(2)), ("late", day(2))]
    assert (report.rows_in, report.rows_held) == (3, 1)
    assert accounted(shop, report) == shop.physical_rows() == 6


def test_of_a_rewritten_file_equal_rows_are_held_and_changed_ones_refused(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0), line("b", 0), line("bad", 0, "0")])
    shop.night(1)
    write(shop.files / "a.csv", [line("new", 2), line("b", 0, "7"), line("bad", 0, "0"), line("a", 0)])
    report = shop.night(2)
    assert kept(shop.lake) == [("a", day(0)), ("b", day(0)), ("new", day(2))]
    assert (report.rows_in, report.rows_kept, report.rows_held, report.vanished) == (4, 1, 2, ["a.csv"])
    changed = [row for row in refused(shop.lake) if row["delivered_on"] == day(2)]
    assert [row["reasons"] for row in changed] == [["order_line_id 'b' was delivered before"]]


def test_a_moved_file_is_known_and_a_copy_of_one_is_held(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0), line("a2", 0)])
    shop.night(1)
    (shop.files / "a.csv").rename(shop.files / "z.csv")
    report = shop.night(2)
    assert (report.new_units, report.vanished, len(kept(shop.lake))) == (0, [], 2)
    write(shop.files / "copy.csv", [line("a", 0), line("a2", 0)])
    report = shop.night(3)
    assert (report.new_units, report.rows_held, len(kept(shop.lake)), refused(shop.lake)) == (1, 2, 2, [])


def test_a_moved_file_is_known_although_another_has_its_name_now(shop: Shop) -> None:
    write(shop.files / "today.csv", [line("a", 0)])
    shop.night(0)
    for number in range(1, 4):  # as logs are rotated
        for older in range(number - 1, 0, -1):
            (shop.files / f"{older}.csv").rename(shop.files / f"{older + 1}.csv")
        (shop.files / "today.csv").rename(shop.files / "1.csv")
        write(shop.files / "today.csv", [line(f"b{number}", number)])
        report = shop.night(number)
        assert (report.new_units, report.rows_held, report.vanished) == (1, 0, [])
    assert accounted(shop, report) == shop.physical_rows() == len(kept(shop.lake)) == 4


def test_a_file_that_was_first_seen_with_its_header_alone_has_not_vanished(shop: Shop) -> None:
    write(shop.files / "a.csv", [])
    write(shop.files / "b.csv", [line("b", 0)])
    shop.night(0)
    append(shop.files / "a.csv", [line("a", 1)])
    for number in (1, 2):
        assert shop.night(number).vanished == []
    assert kept(shop.lake) == [("a", day(1)), ("b", day(0))]


def test_a_file_that_is_overwritten_with_each_days_rows_is_one_source(shop: Shop) -> None:
    for number in range(3):
        late = [line("late", 0)] if number == 2 else []
        write(shop.files / "orders.csv", [*late, *(line(f"{number}{key}", number) for key in "abc")])
        shop.night(number)
    expected = [(f"{number}{key}", day(number)) for number in range(3) for key in "abc"]
    assert kept(shop.lake) == sorted([*expected, ("late", day(2))])


def test_rows_of_a_file_that_vanished_stay_also_on_a_night_that_is_run_again(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0), line("bad", 0, "0")])
    write(shop.files / "b.csv", [line("b", 0)])
    shop.night(0)
    (shop.files / "a.csv").unlink()
    write(shop.files / "c.csv", [line("c", 0), line("a", 0)])
    report = shop.night(0)
    assert kept(shop.lake) == [("a", day(0)), ("b", day(0)), ("c", day(0))]
    assert (len(refused(shop.lake)), report.vanished, report.rows_held) == (1, ["a.csv"], 2)


def test_rows_ahead_wait_and_rows_that_can_never_come_due_are_refused_with_the_reason(shop: Shop) -> None:
    never = (datetime.now(UTC).date() - FIRST).days + 400
    write(shop.files / "a.csv", [line("a", 0), line("ahead", 3), line("never", never)])
    report = shop.night(1)
    assert (report.rows_waiting, len(kept(shop.lake)), accounted(shop, report)) == (1, 1, 3)
    (row,) = refused(shop.lake)
    assert row["delivered_on"] == day(1)
    assert "is after delivered_on" in str(row["reasons"])
    assert kept(shop.lake) == [("a", day(0))]
    report = shop.night(3)
    assert ("ahead", day(3)) in kept(shop.lake)
    assert (report.rows_waiting, accounted(shop, report)) == (0, 3)


def test_a_day_of_delivery_in_the_future_is_refused_although_the_event_is_fine(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0), line("b", 0)])
    never = datetime.now(UTC).date() + timedelta(days=400)
    table = {
        "location": str(shop.files),
        "delivered_on": f"CASE order_line_id WHEN 'b' THEN DATE '{never}' ELSE CAST(ordered_at AS DATE) END",
    }
    source = FilesSourceConfig(tables={"orders": table}, cache=str(shop.folder / "cache")).open()
    for number in (1, 2):
        report = ingest("orders", source, shop.lake, day(number), CONFIG, "r")
    assert kept(shop.lake) == [("a", day(0))]
    (row,) = refused(shop.lake)
    assert (row["delivered_on"], row["reasons"]) == (day(1), ["its day of delivery lies in the future"])
    assert accounted(shop, report) == 2


def test_excluded_rows_and_rows_before_the_history_are_counted(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("old", 0), line("a", 8), line("x", 8)])
    narrow = IngestionConfig(history_days=2, max_quarantined_share=1.0)
    where = "order_line_id <> 'x'"
    report = shop.night(9, narrow, where)
    assert (report.rows_excluded, report.rows_before, report.rows_kept) == (1, 1, 1)
    assert accounted(shop, shop.night(9, CONFIG, where)) == 3
    assert kept(shop.lake) == [("a", day(8)), ("old", day(0))]


def test_a_late_row_delivered_on_an_older_night_run_again_waits_for_the_next(shop: Shop) -> None:
    write(shop.files / "a.csv", [line("a", 0)])
    shop.night(4)
    write(shop.files / "b.csv", [line("late", 1)])
    report = shop.night(2)
    assert (kept(shop.lake), report.rows_waiting) == ([("a", day(0))], 1)
    shop.night(5)
    assert kept(shop.lake) == [("a", day(0)), ("late", day(5))]


SOME, OTHER = [(0, "a", "1"), (1, "b", "1")], [(2, "c", "1")]
ROWS = st.lists(st.tuples(st.integers(0, 7), st.sampled_from("abcdef"), st.sampled_from(["1", "1", "0"])), max_size=5)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["new", "append", "rewrite", "move"]), st.integers(0, 2), ROWS), min_size=1, max_size=4
)


@settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate])
@example(changes=[("new", 1, SOME), ("move", 1, []), ("new", 1, OTHER)], nights=[1, 2, 3, 4, 5, 6], again=3)
@given(changes=CHANGES, nights=st.lists(st.integers(0, 9), min_size=6, max_size=6), again=st.integers(0, 9))
def test_any_schedule_of_arrivals(
    changes: list[tuple[str, int, list[tuple[int, str, str]]]], nights: list[int], again: int
) -> None:
    sound: set[str] = {"start"}
    gone = False
    with TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        write(shop.files / "start.csv", [line("start", 0)])
        shop.night(0)
        for number, ((change, which, rows), night) in enumerate(zip(changes, sorted(nights), strict=False)):
            file = shop.files / f"f{which}.csv"
            lines = [line(key, own, quantity) for own, key, quantity in rows]
            if change == "append" and file.exists():
                append(file, lines)
            elif change == "move" and file.exists():
                file.rename(shop.files / f"moved{number}.csv")
            else:
                gone |= file.exists()
                write(file, lines)
            if change != "move":
                sound |= {key for own, key, quantity in rows if quantity == "1" and own <= night}
            newest = max(complete_days(shop.lake, "orders"))
            settled = newest - timedelta(days=1) if day(night) == newest else newest
            before = shop.lake.scan("orders", last=settled).to_table()
            report = shop.night(night)
            assert shop.lake.scan("orders", last=settled).to_table() == before, "an earlier day changed"
            keys = [key for key, _ in kept(shop.lake)]
            assert len(keys) == len(set(keys)), "doubled"
            assert sound <= set(keys), "lost"
            assert gone or accounted(shop, report) == shop.physical_rows()
        assert shop.night(9).rows_waiting == 0
        version = shop.lake.version("orders")
        shop.night(again)
        assert shop.lake.version("orders") == version
