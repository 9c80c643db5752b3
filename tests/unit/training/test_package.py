"""Model packages: what was saved is what is loaded, or nothing is."""

import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from models.errors import TesseraError
from models.training.boosted_model import HistogramModel
from models.training.calibration import Platt
from models.training.encoding import Encoder
from models.training.linear_model import LinearModel
from models.training.model_package import ModelCard, load, save
from models.training.skops_files import read_skops, skops_io, write_skops
from resources.trainer.hist_gradient_boosting import HistGradientBoostingTrainerConfig
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from resources.trainer.xgboost import XGBoostTrainerConfig

CARD = ModelCard(
    app="churn",
    as_of=date(2025, 6, 30),
    label_end=date(2025, 4, 1),
    train_cutoffs=(date(2025, 1, 1),),
    feature_service="churn_v1",
    feature_version="3",
    rows=200,
    labels={"positives": 100},
    parameters={"C": "0.1"},
    metrics={"auc": 0.8},
)
ENCODER = Encoder(("a", "b"), {"country": ("DE",)})
TRAINERS = {
    "xgboost": XGBoostTrainerConfig(max_rounds=5),
    "logistic_regression": LogisticRegressionTrainerConfig(),
    "hist_gradient_boosting": HistGradientBoostingTrainerConfig(rounds=5),
}
ROWS = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(np.int8)


@pytest.fixture(params=sorted(TRAINERS))
def package(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return packed(request.param, tmp_path / "package")


def packed(kind: str, folder: Path) -> Path:
    fit = TRAINERS[kind].open().fit(ROWS, LABELS, np.arange(200))
    save(folder, fit.model, ENCODER, CARD)
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the manifest as someone would who does not know about its checksum."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def forge(folder: Path, file: str) -> None:
    """Make all checksums right again, as someone would who knows about them."""
    from models.training.manifest import digest
    from models.training.package_files import sha256_of

    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file] = sha256_of(folder / file)
    manifest["sha256"] = digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_everything_comes_back(package: Path) -> None:
    loaded = load(package)
    assert loaded.card == CARD
    assert loaded.encoder == ENCODER
    assert loaded.feature_names == ("a", "b", "country=DE")
    assert loaded.size_bytes == sum(f.stat().st_size for f in package.iterdir())
    assert load(package, sha256=loaded.sha256).sha256 == loaded.sha256


def test_extras_come_back_and_are_checked(tmp_path: Path) -> None:
    model = load(packed("logistic_regression", tmp_path / "p")).model
    save(tmp_path / "q", model, ENCODER, CARD, {"golden.json": '{"ü": 1}'})
    assert load(tmp_path / "q").extras == {"golden.json": '{"ü": 1}'}
    (tmp_path / "q" / "golden.json").write_text("{}")
    with pytest.raises(TesseraError, match=r"golden\.json"):
        load(tmp_path / "q")


def test_an_extra_never_replaces_a_file_of_the_model(tmp_path: Path) -> None:
    model = load(packed("logistic_regression", tmp_path / "p")).model
    with pytest.raises(FileExistsError):
        save(tmp_path / "q", model, ENCODER, CARD, {"model.skops": "mine"})


def test_a_changed_file_is_refused(package: Path) -> None:
    file = next(f for f in package.iterdir() if f.name.startswith("model"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(TesseraError, match="was changed"):
        load(package)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(kind="logistic_regression2"),
        lambda m: m["model"].update(slope=9.0),
        lambda m: m["card"].update(label_end="2020-01-01"),
        lambda m: m["encoder"]["numeric"].reverse(),
    ],
)
def test_a_changed_manifest_is_refused(change: Callable[[dict[str, object]], object], tmp_path: Path) -> None:
    folder = packed("logistic_regression", tmp_path / "p")
    rewrite(folder, change)
    with pytest.raises(TesseraError, match=r"manifest\.json was changed"):
        load(folder)


def test_an_added_or_missing_file_is_refused(package: Path) -> None:
    (package / "extra.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(TesseraError, match=r"extra\.pkl"):
        load(package)
    (package / "extra.pkl").unlink()
    next(f for f in package.iterdir() if f.name.startswith("model")).unlink()
    with pytest.raises(TesseraError, match="instead of"):
        load(package)


def test_another_package_than_the_registered_one_is_refused(package: Path) -> None:
    with pytest.raises(TesseraError, match="was changed"):
        load(package, sha256="0" * 64)


@pytest.mark.parametrize("content", [None, "", "[]", '{"format": 99}', "{"])
def test_a_broken_manifest_is_refused(content: str | None, tmp_path: Path) -> None:
    folder = packed("logistic_regression", tmp_path / "p")
    file = folder / "manifest.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(TesseraError, match=r"manifest\.json"):
        load(folder)


def test_an_unknown_kind_is_refused_even_with_right_checksums(tmp_path: Path) -> None:
    folder = packed("logistic_regression", tmp_path / "p")
    rewrite(folder, lambda m: m.update(kind="cloudpickle"))
    forge(folder, "model.skops")
    with pytest.raises(TesseraError, match="kind 'cloudpickle'"):
        load(folder)


def test_a_type_our_trainers_never_write_is_refused_even_with_right_checksums(tmp_path: Path) -> None:
    """Skops would load a FunctionTransformer: it trusts all of scikit-learn."""
    folder = packed("logistic_regression", tmp_path / "p")
    skops_io().dump(Pipeline([("f", FunctionTransformer())]), folder / "model.skops")
    forge(folder, "model.skops")
    with pytest.raises(TesseraError, match="FunctionTransformer"):
        load(folder)


@pytest.mark.parametrize(
    "node",
    [
        {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": "system"},
        {"__class__": "str", "__module__": "builtins", "__loader__": "MethodNode", "content": {}},
        {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode"},
    ],
)
def test_a_hidden_part_is_found_wherever_it_stands(node: dict[str, object], tmp_path: Path) -> None:
    file = packed("logistic_regression", tmp_path / "p") / "model.skops"
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts["schema.json"])
    schema["content"]["content"]["steps"]["content"].append(node)
    parts["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(TesseraError, match=f"{node['__class__']}|{node['__loader__']}"):
        read_skops(file)


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK nonsense"])
def test_a_pickle_or_rubbish_in_place_of_a_model_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = packed("logistic_regression", tmp_path / "p")
    (folder / "model.skops").write_bytes(content)
    forge(folder, "model.skops")
    with pytest.raises(TesseraError, match="no skops file"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04K\x01."])
def test_rubbish_in_place_of_a_booster_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = packed("xgboost", tmp_path / "p")
    (folder / "model.ubj").write_bytes(content)
    forge(folder, "model.ubj")
    with pytest.raises(TesseraError, match="no XGBoost model"):
        load(folder)


def test_a_tree_that_points_outside_itself_is_refused(tmp_path: Path) -> None:
    """scikit-learn follows such an index without looking: it would read foreign memory."""
    booster = HistGradientBoostingClassifier(max_iter=1, max_depth=2, early_stopping=False).fit(ROWS, LABELS)
    folder = tmp_path / "p"
    folder.mkdir()
    for field, value in (("left", 10**6), ("right", 0), ("feature_idx", 77)):
        nodes = booster._predictors[0][0].nodes  # pyright: ignore[reportAttributeAccessIssue]
        kept = nodes.copy()
        nodes[field][0] = value
        write_skops(booster, folder / "model.skops")
        nodes[:] = kept
        with pytest.raises(TesseraError, match="points outside itself"):
            HistogramModel.load(folder, {"slope": 1.0, "intercept": 0.0})


@pytest.mark.slow
def test_a_model_of_another_kind_in_the_file_is_refused(tmp_path: Path) -> None:
    hist, line = packed("hist_gradient_boosting", tmp_path / "h"), packed("logistic_regression", tmp_path / "l")
    saved = {"slope": 1.0, "intercept": 0.0}
    with pytest.raises(TesseraError, match="holds a HistGradientBoostingClassifier"):
        LinearModel.load(hist, saved)
    with pytest.raises(TesseraError, match="holds a Pipeline"):
        HistogramModel.load(line, saved)


@pytest.mark.slow
def test_a_folder_with_something_in_it_is_not_overwritten(package: Path) -> None:
    model = load(package).model
    with pytest.raises(TesseraError, match="is not empty"):
        save(package, model, ENCODER, CARD)


def test_calibration_comes_back_to_the_bit(tmp_path: Path) -> None:
    folder = packed("xgboost", tmp_path / "p")
    loaded = load(folder).model
    stated = json.loads((folder / "manifest.json").read_text())["model"]
    platt = Platt(stated["slope"], stated["intercept"])
    assert np.array_equal(loaded.predict(ROWS), platt(loaded.raw(ROWS)))


@pytest.mark.slow
def test_files_are_those_that_skops_writes_with_its_own_list_of_types(tmp_path: Path) -> None:
    """Our process imports skops without that list, which takes seconds to make; here another one imports it whole."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    script = f"""
        import sys
        from pathlib import Path
        import skops.io
        from tests.unit.training.test_package import packed
        assert "sklearn.cluster" in sys.modules
        for kind in ("logistic_regression", "hist_gradient_boosting"):
            packed(kind, Path({str(theirs)!r}) / kind)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=Path(__file__).parents[3], check=True)
    for kind in ("logistic_regression", "hist_gradient_boosting"):
        packed(kind, ours / kind)
        assert (ours / kind / "model.skops").read_bytes() == (theirs / kind / "model.skops").read_bytes()
        assert (load(theirs / kind).model.predict(ROWS) == load(ours / kind).model.predict(ROWS)).all()
