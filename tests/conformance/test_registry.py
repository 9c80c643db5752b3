"""The registries: the port's promises, and what those with a ledger file and a cache do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import TesseraError
from resources.conformance import RegistryConformance
from resources.conformance.registry import Open, files_of, package_at, promote, register
from resources.registry.fake import FolderRegistry, FolderRegistryConfig
from resources.registry.mlflow_registry import MLflowRegistryConfig
from resources.registry.port import Registry

#: A name that holds what addresses stumble over.
FOLDER = "a home #1 é %41?"


class LedgeredRegistryTests(RegistryConformance):
    """What every registry with a local ledger and cache does when their files are changed."""

    @pytest.mark.parametrize("file", ["manifest.json", "parts/model.skops"])
    def test_a_changed_cache_is_refused_and_the_file_named(self, reopen: Open, package: Path, file: str) -> None:
        version = register(reopen(), package)
        promote(reopen(), version)
        cached = reopen().fetch("churn", version)
        (cached / file).write_bytes(b"{other")
        with pytest.raises(TesseraError, match=f"{file} was changed"):
            reopen().fetch("churn", version)
        (cached / file).unlink()
        with pytest.raises(TesseraError, match=f"{file} is missing"):
            reopen().fetch("churn", version)
        shutil.rmtree(cached)  # what the error advises
        assert files_of(reopen().fetch("churn", version)) == files_of(package)

    @pytest.mark.parametrize("warm", [True, False])
    @pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"{fir")])
    def test_a_version_whose_own_files_broke_never_becomes_champion_whatever_the_cache_holds(
        self, reopen: Open, package: Path, warm: bool, damage: Callable[[Path], object], tmp_path: Path
    ) -> None:
        registry = reopen()
        promote(registry, register(registry, package))
        version = register(registry, package_at(tmp_path / "second", b"{second"))
        if warm:
            registry.fetch("churn", version)
        stored = [file for file in tmp_path.rglob("model.skops") if file.read_bytes() == b"{second"]
        for file in stored:
            if not {"cache", "second"} & set(file.relative_to(tmp_path).parts):
                damage(file)
        with pytest.raises(TesseraError):
            reopen().fetch_anew("churn", version)
        with pytest.raises(TesseraError):
            promote(reopen(), version)
        assert (reopen().champion("churn"), len(reopen().ledger("churn"))) == ("1", 1)

    def test_fetched_anew_a_changed_copy_is_put_right(self, reopen: Open, package: Path) -> None:
        version = register(reopen(), package)
        cached = reopen().fetch("churn", version)
        assert reopen().fetch_anew("churn", version) == cached
        (cached / "manifest.json").write_text("{other")
        assert files_of(reopen().fetch_anew("churn", version)) == files_of(package)
        assert files_of(reopen().fetch("churn", version)) == files_of(package)

    def test_an_added_file_and_a_changed_list_are_refused(self, reopen: Open, package: Path) -> None:
        version = register(reopen(), package)
        cached = reopen().fetch("churn", version)
        (cached / "evil.pkl").write_bytes(b"")
        with pytest.raises(TesseraError, match=r"evil\.pkl was added"):
            reopen().fetch("churn", version)
        listed = cached.with_name(f"{cached.name}.json")
        listed.write_text(json.dumps({**json.loads(listed.read_text()), "evil.pkl": "0" * 64}))
        with pytest.raises(TesseraError, match=r"\.json was changed"):
            reopen().fetch("churn", version)

    def test_tampered_artifacts_are_refused_and_the_file_named(
        self, reopen: Open, package: Path, tmp_path: Path
    ) -> None:
        version = register(reopen(), package)
        (stored,) = [
            file for file in tmp_path.rglob("model.skops") if "home" in str(file) and file.read_bytes() == b"{first"
        ]
        stored.write_bytes(b"{evil!")
        for _ in range(2):  # nothing of the first try may be taken for a good copy
            with pytest.raises(TesseraError, match=r"model\.skops was changed"):
                reopen().fetch("churn", version)

    @pytest.mark.parametrize("line", [1, 2])
    def test_an_edited_ledger_is_refused_and_the_line_named(
        self, reopen: Open, package: Path, tmp_path: Path, line: int
    ) -> None:
        file = self._three_entries(reopen, package, tmp_path)
        lines = file.read_text().splitlines(keepends=True)
        lines[line - 1] = lines[line - 1].replace("better", "worse!")
        file.write_text("".join(lines))
        for question in (reopen().ledger, reopen().champion, reopen().versions):
            with pytest.raises(TesseraError, match=f"Line {line + 1} of the ledger"):
                question("churn")
        with pytest.raises(TesseraError, match="Line"):
            promote(reopen(), "1")
        assert file.read_text() == "".join(lines)

    def test_an_edited_or_removed_last_line_is_refused(self, reopen: Open, package: Path, tmp_path: Path) -> None:
        file = self._three_entries(reopen, package, tmp_path)
        lines = file.read_text().splitlines(keepends=True)
        for changed in ([*lines[:2], lines[2].replace("better", "worse!")], lines[:2], lines[:1], []):
            file.write_text("".join(changed))
            with pytest.raises(TesseraError, match="do not belong together"):
                reopen().versions("churn")
            with pytest.raises(TesseraError, match="do not belong together"):
                promote(reopen(), "1")

    def _three_entries(self, reopen: Open, package: Path, tmp_path: Path) -> Path:
        for _ in range(2):
            register(reopen(), package)
        for version in ("1", "2", "1"):
            promote(reopen(), version)
        (file,) = tmp_path.rglob("churn.jsonl")
        return file

    def test_a_torn_last_line_is_kept_aside_and_reported(
        self, reopen: Open, package: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = self._three_entries(reopen, package, tmp_path)
        whole = file.read_bytes()
        file.write_bytes(whole + whole.splitlines()[0][:100])
        assert (reopen().champion("churn"), file.read_bytes()) == ("1", whole)
        (aside,) = file.parent.glob("churn.torn-*")
        assert aside.read_bytes() == whole.splitlines()[0][:100]
        assert aside.name in caplog.text
        promote(reopen(), "2")
        assert (reopen().champion("churn"), len(reopen().ledger("churn"))) == ("2", 4)

    @pytest.mark.parametrize("app", ["../churn", "", "a b", "churn'--"])
    def test_names_that_are_no_names_are_refused(self, registry: Registry, package: Path, app: str) -> None:
        for question in (registry.champion, registry.ledger, registry.versions):
            with pytest.raises(TesseraError, match="cannot be the name"):
                question(app)
        with pytest.raises(TesseraError, match="cannot be the name"):
            register(registry, package, app)


@pytest.mark.slow
class TestMLflowRegistry(LedgeredRegistryTests):
    config = MLflowRegistryConfig

    @pytest.fixture
    def reopen(self, tmp_path: Path, mlflow_database: Path) -> Open:
        (tmp_path / FOLDER).mkdir()
        shutil.copy(mlflow_database, tmp_path / FOLDER)
        return MLflowRegistryConfig(path=str(tmp_path / FOLDER)).open


class TestFolderRegistry(LedgeredRegistryTests):
    config = FolderRegistryConfig

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Open:
        return lambda: FolderRegistry(tmp_path / FOLDER)
