"""`tessera evaluate intents` on files of users: what it prints, and what it says of files it cannot use."""

import csv
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from models.errors import TesseraError
from models.text.intent_evaluation import LabelledTexts
from pipelines.cli import console
from pipelines.cli.commands import app
from resources.source.columns import text_columns
from tests.unit.text.tickets import OUT_OF_SCOPE_TEXTS, tickets

pytestmark = pytest.mark.slow


def tessera(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


def written(file: Path, rows: LabelledTexts, *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with file.open("w", newline="", encoding=encoding) as content:
        writer = csv.writer(content, delimiter=delimiter)
        writer.writerow(["id", "text", "label"])
        for number, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True)):
            writer.writerow([number, text, label])
    return file


def with_outside(rows: LabelledTexts) -> LabelledTexts:
    outside = ["oos"] * len(OUT_OF_SCOPE_TEXTS)
    return LabelledTexts([*rows.texts, *OUT_OF_SCOPE_TEXTS], [*rows.labels, *outside])


TRAIN, TEST = tickets(8, seed=1), with_outside(tickets(5, seed=2))


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return written(tmp_path / "train.csv", TRAIN)


@pytest.fixture
def test(tmp_path: Path) -> Path:
    return written(tmp_path / "test.csv", TEST)


def evaluated(train: Path, test: Path, *arguments: str) -> dict:
    said = tessera(
        "evaluate", "intents", "--train", train, "--test", test, "--embedder", "hashed", "--json", *arguments
    )
    assert said.exit_code == 0
    return json.loads(said.stdout)


def test_json_has_the_composition_and_each_child(train: Path, test: Path) -> None:
    found = evaluated(train, test)
    assert set(found["models"]) == {"linear", "embedded", "fused", "routed"}
    assert [name for name, one in found["models"].items() if one["role"] == "composition"] == [found["composition"]]
    for one in found["models"].values():
        for share in ("accuracy", "in_scope_accuracy", "out_of_scope_recall", "overall_accuracy"):
            assert 0 <= one[share]["low"] <= one[share]["value"] <= one[share]["high"] <= 1
        assert one["cpu_ms_per_text"] > 0 < one["eur_per_1000"]
    assert found["models"]["fused"]["accuracy"]["value"] > 0.8
    assert found["test"] == {"in_scope": 20, "out_of_scope": len(OUT_OF_SCOPE_TEXTS)}
    assert found["validation_rows"] == 32


def test_a_table_names_every_model_and_notes_what_cannot_be_measured(
    train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "_width", 140)  # whatever terminal imported it
    mislabelled = LabelledTexts([*TRAIN.texts, "odd"], [*TRAIN.labels[::-1], "other"])
    test = written(tmp_path / "inside.csv", mislabelled)
    said = tessera("evaluate", "intents", "--train", train, "--test", test, "--embedder", "hashed")
    assert said.exit_code == 0
    for part in ("linear", "embedder", "composition", "no such rows", "EUR per 1,000"):
        assert part in said.stdout
    shared = f"flatter every model: {len(set(TRAIN.texts))}"
    for note in ("which count as wrong: 1 ('other')", shared, "no test row", "chosen on easier texts"):
        assert note in said.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), ("|", "utf-8"), (",", "cp1252")]
)
def test_files_of_other_programs_are_read_alike(
    train: Path, test: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    rows = LabelledTexts([f"{text} é" for text in TRAIN.texts], TRAIN.labels)
    first = written(tmp_path / "utf8.csv", rows)
    other = written(tmp_path / "other.csv", rows, delimiter=delimiter, encoding=encoding)
    one, two = (evaluated(file, test)["models"]["linear"]["accuracy"] for file in (first, other))
    assert one == two


def test_parquet_gzip_and_labels_that_are_numbers(test: Path, tmp_path: Path) -> None:
    numbers = {label: place for place, label in enumerate(sorted(set(TRAIN.labels)))}
    parquet = tmp_path / "train.parquet"
    pq.write_table(pa.table({"label": [numbers[one] for one in TRAIN.labels], "text": list(TRAIN.texts)}), parquet)
    coded = LabelledTexts(TEST.texts, [str(numbers.get(one, one)) for one in TEST.labels])
    packed = tmp_path / "test.csv.gz"
    packed.write_bytes(gzip.compress(written(tmp_path / "plain.csv", coded).read_bytes()))
    assert evaluated(parquet, packed)["models"]["fused"]["accuracy"]["value"] > 0.8


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0.0, 1.0, None]), ["0", "1", ""]),
        (pa.array([b"a", "é".encode(), b" "]), ["a", "é", " "]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([["a"], ["b"], ["c"]]), "is of the type list"),
        (pa.array([b"\xff", b"a", b"b"]), "and not in UTF-8"),
    ],
)
def test_a_parquet_column_is_read_as_a_csv_file_would_have_it(
    tmp_path: Path, column: pa.Array, expected: list[str] | str
) -> None:
    pq.write_table(pa.table({"text": column[:2], "label": column[:2]}), tmp_path / "t.parquet")
    if isinstance(expected, str):
        with pytest.raises(TesseraError, match=expected):
            text_columns(tmp_path / "t.parquet", ["text", "label"])
    else:
        assert text_columns(tmp_path / "t.parquet", ["text", "label"])["label"] == expected[:2]


def test_what_would_mislead_is_refused_or_said(train: Path, test: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.csv"
    twice.write_text("text,text,label\na,b,x\n")
    with pytest.raises(TesseraError, match="has 2 columns 'text'"):
        evaluated(twice, test)
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"text,label\na,x\n\xff\x81 b,y\n")
    with pytest.raises(TesseraError, match="Save the file as UTF-8"):
        evaluated(broken, test)
    capital = written(tmp_path / "capital.csv", LabelledTexts([*TEST.texts[:9], "what"], [*TEST.labels[:9], "OOS"]))
    assert any("'OOS' is taken for a label in scope" in note for note in evaluated(train, capital)["notes"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "it is empty"),
        ("text,category\na,b\n", r"has no column 'label'.*'category', 'text'"),
        ("text,label\n", "holds no row"),
        ("text,label\nhello,\n", "has no label in line 2"),
        ("text,label\nhello,x\n  ,y\n", "has no text in line 3"),
        ("text,label\na,b,c\n", "line 2"),
        ("text,label\na,x\nb,x\n", "two labels or more"),
        ("text,label\na,oos\nb,oos\n", "two labels or more"),
        ('{"text": "a"}', "it is JSON"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_what_to_do(
    tmp_path: Path, test: Path, content: str, says: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content)
    with pytest.raises(TesseraError, match=says) as refused:
        evaluated(file, test)
    assert refused.value.expected
    assert refused.value.todo


def test_other_wrong_inputs(train: Path, test: Path, tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match="There is no file"):
        evaluated(tmp_path / "none.csv", test)
    only = written(tmp_path / "oos.csv", LabelledTexts(["a"], ["oos"]))
    with pytest.raises(TesseraError, match="no row in scope"):
        evaluated(train, only)
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1nothing")
    with pytest.raises(TesseraError, match="cannot be read as parquet"):
        evaluated(damaged, test)
    with pytest.raises(TesseraError, match="--retention"):
        evaluated(train, test, "--retention", "1.5")
