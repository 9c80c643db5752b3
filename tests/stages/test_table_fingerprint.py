"""A table knows what filled it: another source, mapping or contract is refused, or ingests it again from the start."""

import csv
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from assets.stages.ingestion import run as ingestion
from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.ingestion.run import Filling, ingest
from models.contracts import CONTRACTS, ORDERS
from models.errors import TesseraError
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.source.files import FilesSourceConfig
from resources.source.port import Identity, Source
from resources.source.simulated import SimulatedSourceConfig

FIRST = date(2026, 3, 1)
LAST = FIRST + timedelta(days=2)
CONFIG = IngestionConfig(max_quarantined_share=1)
FIRST_TIME = Filling()
HEADER = "order_line_id,order_id,customer_id,product_id,ordered_at,quantity,unit_price,currency,country,is_return"


def write(file: Path, keys: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as opened:
        rows = [[k, f"o-{k}", "c1", "p1", f"{FIRST} 09:00", "1", "6.5", "EUR", "Spain", "false"] for k in keys]
        csv.writer(opened).writerows([HEADER.split(","), *rows])


def files(folder: Path, **settings: object) -> Source:
    table = {"location": str(folder), **settings}
    return FilesSourceConfig.model_validate({"tables": {"orders": table}, "cache": str(folder / "cache")}).open()


def simulated(**settings: object) -> Source:
    values = {"customers": 20, "first_day": FIRST.isoformat(), **settings}
    return SimulatedSourceConfig.model_validate(values).open()


def keys(lake: DeltaLake) -> list[str]:
    return sorted(lake.scan("orders").to_table()["order_line_id"].to_pylist())


def run(source: Source, lake: DeltaLake, filling: Filling = FIRST_TIME) -> None:
    ingest("orders", source, lake, LAST, CONFIG, "r", filling)


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def copied(filled: Path, folder: Path) -> DeltaLake:
    """The lake of another folder, for this test alone."""
    shutil.copytree(filled / "lake", folder / "lake")
    return DeltaLake(str(folder / "lake"))


@pytest.fixture(scope="module")
def of_simulated_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that the simulated shop filled."""
    folder = tmp_path_factory.mktemp("simulated")
    run(simulated(), DeltaLake(str(folder / "lake")))
    return folder


@pytest.fixture(scope="module")
def of_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that the files beside it filled."""
    folder = tmp_path_factory.mktemp("files")
    write(folder / "in" / "a.csv", "abc")
    run(files(folder / "in"), DeltaLake(str(folder / "lake")))
    return folder


@pytest.mark.parametrize("change", [{"seed": 8}, {"customers": 21}, {"late_share": 0.5}, {"first_day": "2026-03-02"}])
def test_another_simulated_shop_is_refused_with_the_way_out(
    of_simulated_shop: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    lake = copied(of_simulated_shop, tmp_path)
    before = lake.scan("orders").to_table()
    with pytest.raises(TesseraError, match=r"filled by another source: .*TESSERA_HOME.*--reingest orders"):
        run(simulated(**change), lake)
    assert lake.scan("orders").to_table() == before
    run(simulated(), lake)
    run(simulated(**change), lake, Filling(reingest=True))
    other = DeltaLake(str(tmp_path / "other"))
    run(simulated(**change), other)
    assert lake.scan("orders").to_table() == other.scan("orders").to_table()


def test_another_folder_is_refused_and_a_moved_one_accepted(lake: DeltaLake, tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.csv", "abc")
    write(tmp_path / "one" / "b.csv", "d")
    write(tmp_path / "two" / "a.csv", "xyz")
    write(tmp_path / "half" / "a.csv", "abc")
    run(files(tmp_path / "one"), lake)
    for other in ("two", "half"):
        with pytest.raises(TesseraError, match="filled by another source: location was"):
            run(files(tmp_path / other), lake)
    moved = shutil.move(tmp_path / "one", tmp_path / "moved")
    write(moved / "c.csv", "e")
    run(files(moved), lake)
    run(files(moved), lake)
    assert keys(lake) == [*"abcde"]


def test_a_moved_folder_is_accepted_in_which_a_file_got_its_first_rows(lake: DeltaLake, tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.csv", "abc")
    write(tmp_path / "one" / "b.csv", "")
    run(files(tmp_path / "one"), lake)
    moved = shutil.move(tmp_path / "one", tmp_path / "moved")
    write(moved / "b.csv", "d")
    run(files(moved), lake)
    assert keys(lake) == [*"abcd"]


def test_other_files_in_the_same_folder_are_refused_and_a_rewritten_export_is_taken(
    lake: DeltaLake, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    write(folder / "a.csv", "abc")
    run(files(folder), lake)
    before = lake.scan("orders").to_table()
    (folder / "a.csv").unlink()
    write(folder / "b.csv", "xyz")
    for _ in range(2):
        with pytest.raises(TesseraError, match=r"another source: .*a\.csv.* no row of b\.csv .*--reingest orders"):
            run(files(folder), lake)
    assert lake.scan("orders").to_table() == before
    write(folder / "b.csv", "xcab")  # the same shop, exported again
    run(files(folder), lake)
    assert keys(lake) == [*"abcx"]
    write(folder / "b.csv", "qrs")
    run(files(folder), lake, Filling(reingest=True))
    assert keys(lake) == [*"qrs"]


@pytest.mark.parametrize(
    "change",
    [
        {"columns": {"quantity": "TRY_CAST(quantity AS INT) * 2"}},
        {"where": "order_line_id <> 'a'"},
        {"timezone": "Europe/Berlin"},
        {"delivered_on": "DATE '2026-03-02'"},
    ],
)
def test_another_mapping_is_refused_until_it_ingests_the_table_again(
    of_files: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    lake, folder = copied(of_files, tmp_path), of_files / "in"
    with pytest.raises(TesseraError, match="filled by another mapping"):
        run(files(folder, **change), lake)
    run(files(folder, **change), lake, Filling(reingest=True))
    run(files(folder, **change), lake)
    other = DeltaLake(str(tmp_path / "other"))
    run(files(folder, **change), other)
    assert lake.scan("orders").to_table() == other.scan("orders").to_table()


def test_another_contract_is_refused(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    run(simulated(), lake)
    described = ORDERS.model_copy(update={"description": "Other words.", "owner": "team:others"})
    monkeypatch.setitem(CONTRACTS, "orders", described)
    run(simulated(), lake)
    monkeypatch.setitem(CONTRACTS, "orders", ORDERS.model_copy(update={"rules": ()}))
    with pytest.raises(TesseraError, match="filled by another contract: rules was"):
        run(simulated(), lake)


def test_settings_of_ingestion_and_a_table_without_rows_do_not_matter(lake: DeltaLake, tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.csv", "")
    write(tmp_path / "in" / "b.csv", "a")
    with pytest.raises(TesseraError, match="no 'nothing'"):
        run(files(tmp_path / "in", where="nothing > 1"), lake)
    run(files(tmp_path / "in"), lake)
    other = IngestionConfig(history_days=3, redelivery_days=9, max_quarantined_share=0.5)
    ingest("orders", files(tmp_path / "in"), lake, LAST, other, "r")


def test_a_third_party_source_is_known_by_its_settings(lake: DeltaLake) -> None:
    class Other(type(simulated())):
        def identity(self, table: str) -> Identity | None:
            return None

    source = simulated()
    source.__class__ = Other
    run(source, lake, Filling(Identity({"adapter": "theirs.Config", "bucket": "a"})))
    with pytest.raises(TesseraError, match="bucket was 'a', now 'b'"):
        run(source, lake, Filling(Identity({"adapter": "theirs.Config", "bucket": "b"})))


class Stopped(Exception):
    """The process ends here."""


class StoppingLake(DeltaLake):
    """A lake whose user dies before its `left`-th change."""

    left = 0

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped

    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        self._count()
        return super().replace(table, rows, by=by, first=first, last=last)

    def drop(self, table: str) -> None:
        self._count()
        super().drop(table)


def test_a_reingestion_that_was_killed_anywhere_is_completed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "one" / "a.csv", "abc")
    write(tmp_path / "two" / "a.csv", "xyz")
    home = tmp_path / "home"
    lake = DeltaLake(str(home))
    run(files(tmp_path / "one"), lake)
    derived = pa.table({"n": [1], "feature_date": pa.array([FIRST])})
    lake.replace("churn_features", derived, by="feature_date", first=FIRST, last=FIRST)
    monkeypatch.setattr(ingestion, "CHUNK_ROWS", 2)
    again = Filling(reingest=True, dependants=("churn_features",))
    stops = 0
    for left in range(1, 40):
        stopping = StoppingLake(str(shutil.copytree(home, tmp_path / f"home{left}")))
        stopping.left = left
        try:
            run(files(tmp_path / "two"), stopping, again)
        except Stopped:
            stops += 1
        else:
            break
        after = DeltaLake(str(tmp_path / f"home{left}"))
        if left == 1:  # nothing has begun
            with pytest.raises(TesseraError, match="another source"):
                run(files(tmp_path / "two"), after, Filling(dependants=("churn_features",)))
            continue
        run(files(tmp_path / "two"), after, Filling(dependants=("churn_features",)))
        assert (keys(after), after.exists("churn_features")) == ([*"xyz"], False)
        assert complete_days(after, "orders").keys() == {FIRST + timedelta(days=n) for n in range(3)}
    assert stops >= 6
