"""What every registry promises about versions, the champion and the ledger."""

import json
import math
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import TesseraError
from models.ledger import champion_at, entry_line
from resources.registry.fake import FolderRegistry
from resources.registry.mlflow_registry import MLflowRegistryConfig
from resources.registry.port import Registry

Open = Callable[[], Registry]
TAGS = {"kind": "linear", "gate": "passed"}


@pytest.fixture(params=["mlflow", "fake"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same registry again, as another process would. The folder's name holds what addresses stumble over."""
    folder = tmp_path / "a home #1 é %41?"
    if request.param == "mlflow":
        folder.mkdir()
        shutil.copy(request.getfixturevalue("mlflow_database"), folder)
        return lambda: MLflowRegistryConfig(path=str(folder)).open()
    return lambda: FolderRegistry(folder)


@pytest.fixture
def registry(reopen: Open) -> Registry:
    return reopen()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return _package(tmp_path / "package", b"{first")


def _package(folder: Path, content: bytes) -> Path:
    (folder / "parts").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"kind": "logistic_regression"}))
    (folder / "parts" / "model.skops").write_bytes(content)
    return folder


def _register(registry: Registry, package: Path, app: str = "churn", **metrics: float) -> str:
    return registry.register(
        app, package, parameters={"depth": "3"}, metrics=metrics, tags=TAGS, report="# Gate\n\npassed"
    )


def _promote(registry: Registry, version: str | None, action: str = "promote", app: str = "churn") -> Any:
    return registry.set_champion(
        app, version, action=action, why="better", who="ann", run_id="r1", metrics={"auc": 0.8, "slice": math.nan}
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class TestRegistry:
    def test_an_empty_registry_knows_nothing(self, registry: Registry) -> None:
        assert (list(registry.versions("churn")), registry.champion("churn"), list(registry.ledger("churn"))) == (
            [],
            None,
            [],
        )
        assert registry.check().ok

    def test_versions_come_newest_first_with_what_was_registered(self, reopen: Open, package: Path) -> None:
        before = datetime.now(UTC)
        registry = reopen()
        numbers = [_register(registry, package, auc=0.1 * n, ece=math.nan) for n in range(1, 12)]
        assert numbers == [str(n) for n in range(1, 12)]
        _promote(registry, "10")
        found = reopen().versions("churn")
        assert [info.version for info in found] == numbers[::-1]
        assert [info.champion for info in found] == [info.version == "10" for info in found]
        assert found[0].metrics["auc"] == pytest.approx(1.1)
        assert math.isnan(found[0].metrics["ece"])
        assert found[-1].metrics["auc"] == pytest.approx(0.1)
        assert dict(found[0].tags) == TAGS
        created = datetime.fromisoformat(found[0].created_at)
        assert before.replace(microsecond=0) <= created <= datetime.now(UTC)

    def test_fetch_gives_the_package_as_it_was(self, reopen: Open, package: Path) -> None:
        version = _register(reopen(), package)
        wanted = _files(package)
        shutil.rmtree(package)
        fetched = reopen().fetch("churn", version)
        assert _files(fetched) == wanted
        assert reopen().fetch("churn", version) == fetched

    def test_versions_with_the_same_bytes_and_apps_are_kept_apart(self, registry: Registry, package: Path) -> None:
        assert [_register(registry, package), _register(registry, package), _register(registry, package, "fraud")] == [
            "1",
            "2",
            "1",
        ]
        _promote(registry, "2")
        assert (registry.champion("churn"), registry.champion("fraud")) == ("2", None)

    @pytest.mark.parametrize("file", ["manifest.json", "parts/model.skops"])
    def test_a_changed_cache_is_refused_and_the_file_named(self, reopen: Open, package: Path, file: str) -> None:
        version = _register(reopen(), package)
        _promote(reopen(), version)
        cached = reopen().fetch("churn", version)
        (cached / file).write_bytes(b"{other")
        with pytest.raises(TesseraError, match=f"{file} was changed"):
            reopen().fetch("churn", version)
        (cached / file).unlink()
        with pytest.raises(TesseraError, match=f"{file} is missing"):
            reopen().fetch("churn", version)
        shutil.rmtree(cached)  # what the error advises
        assert _files(reopen().fetch("churn", version)) == _files(package)

    @pytest.mark.parametrize("warm", [True, False])
    @pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"{fir")])
    def test_a_version_whose_own_files_broke_never_becomes_champion_whatever_the_cache_holds(
        self, reopen: Open, package: Path, warm: bool, damage: Callable[[Path], object], tmp_path: Path
    ) -> None:
        registry = reopen()
        _promote(registry, _register(registry, package))
        version = _register(registry, _package(tmp_path / "second", b"{second"))
        if warm:
            registry.fetch("churn", version)
        stored = [file for file in tmp_path.rglob("model.skops") if file.read_bytes() == b"{second"]
        for file in stored:
            if not {"cache", "second"} & set(file.relative_to(tmp_path).parts):
                damage(file)
        with pytest.raises(TesseraError):
            reopen().fetch_anew("churn", version)
        with pytest.raises(TesseraError):
            _promote(reopen(), version)
        assert (reopen().champion("churn"), len(reopen().ledger("churn"))) == ("1", 1)

    def test_fetched_anew_a_changed_copy_is_put_right(self, reopen: Open, package: Path) -> None:
        version = _register(reopen(), package)
        cached = reopen().fetch("churn", version)
        assert reopen().fetch_anew("churn", version) == cached
        (cached / "manifest.json").write_text("{other")
        assert _files(reopen().fetch_anew("churn", version)) == _files(package)
        assert _files(reopen().fetch("churn", version)) == _files(package)

    def test_the_ledger_names_the_version_that_a_refit_was_judged_by(self, reopen: Open, package: Path) -> None:
        first, refit, other = (_register(reopen(), package) for _ in range(3))
        entry = {"action": "promote", "why": "w", "who": "ann", "run_id": "", "metrics": {}}
        reopen().set_champion("churn", refit, judged=first, **entry)
        assert [(line.to_version, line.judged) for line in reopen().ledger("churn")] == [(refit, first)]
        reopen().set_champion("churn", first, **{**entry, "action": "rollback"})
        with pytest.raises(TesseraError, match="never was champion"):
            reopen().set_champion("churn", other, **{**entry, "action": "rollback"})

    def test_tags_can_be_corrected_and_the_others_stay(self, reopen: Open, package: Path) -> None:
        version = _register(reopen(), package)
        assert reopen().retag("churn", version, {"gate": "stopped by loads"})
        (found,) = reopen().versions("churn")
        assert dict(found.tags) == {"kind": "linear", "gate": "stopped by loads"}
        with pytest.raises(TesseraError, match="no version '7'"):
            reopen().retag("churn", "7", {"gate": "passed"})

    def test_an_added_file_and_a_changed_list_are_refused(self, reopen: Open, package: Path) -> None:
        version = _register(reopen(), package)
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
        version = _register(reopen(), package)
        (stored,) = [
            file for file in tmp_path.rglob("model.skops") if "home" in str(file) and file.read_bytes() == b"{first"
        ]
        stored.write_bytes(b"{evil!")
        for _ in range(2):  # nothing of the first try may be taken for a good copy
            with pytest.raises(TesseraError, match=r"model\.skops was changed"):
                reopen().fetch("churn", version)

    @pytest.mark.parametrize(
        ("name", "content"),
        [("model.pkl", b"x"), ("model.joblib", b"x"), ("run.py", b"x"), ("model.skops", b"\x80\x05K")],
    )
    def test_files_that_may_run_code_are_refused(
        self, registry: Registry, package: Path, name: str, content: bytes
    ) -> None:
        (package / name).write_bytes(content)
        with pytest.raises(TesseraError, match=name):
            _register(registry, package)
        assert list(registry.versions("churn")) == []

    def test_links_out_of_the_package_are_refused(self, registry: Registry, package: Path) -> None:
        (package / "outside.json").symlink_to("/etc/hostname")
        with pytest.raises(TesseraError, match=r"outside\.json"):
            _register(registry, package)

    def test_a_folder_without_manifest_is_no_package(self, registry: Registry, package: Path) -> None:
        (package / "manifest.json").unlink()
        with pytest.raises(TesseraError, match=r"no manifest\.json"):
            _register(registry, package)

    def test_the_ledger_tells_who_was_champion_when(self, reopen: Open, package: Path) -> None:
        registry = reopen()
        for _ in range(2):
            _register(registry, package)
        entries = [_promote(registry, "1"), _promote(registry, "2"), _promote(registry, "1", "rollback")]
        entries.append(_promote(registry, None, "retire"))
        ledger = reopen().ledger("churn")
        assert [(e.action, e.from_version, e.to_version) for e in ledger] == [
            ("promote", None, "1"),
            ("promote", "1", "2"),
            ("rollback", "2", "1"),
            ("retire", "1", None),
        ]
        assert [champion_at(ledger, e.at) for e in entries] == ["1", "2", "1", None]
        assert (ledger[0].why, ledger[0].who, ledger[0].run_id) == ("better", "ann", "r1")
        assert ledger[0].metrics["auc"] == 0.8
        assert math.isnan(ledger[0].metrics["slice"])
        assert ledger[0].package
        assert (ledger[3].package, reopen().champion("churn")) == ("", None)

    def test_a_version_that_the_gate_stopped_is_put_in_charge_by_no_caller_unless_a_person_insists_with_a_reason(
        self, registry: Registry, package: Path
    ) -> None:
        _register(registry, package)
        _promote(registry, "1")
        tags = {"kind": "linear", "gate": "stopped by floor"}
        stopped = registry.register("churn", package, parameters={}, metrics={}, tags=tags, report="")
        call = {"who": "ann", "run_id": "", "metrics": {}}
        for action in ("promote", "rollback"):
            with pytest.raises(TesseraError, match=r"the gate stopped it \(floor\)"):
                registry.set_champion("churn", stopped, action=action, why="w", **call)
            with pytest.raises(TesseraError, match="No reason is given"):
                registry.set_champion("churn", stopped, action=action, why=" ", even_if_refused=True, **call)
        assert len(registry.ledger("churn")) == 1
        entry = registry.set_champion("churn", stopped, action="promote", why="w", even_if_refused=True, **call)
        assert (entry.refusal, entry.gate) == ("the gate stopped it (floor)", "stopped by floor")
        assert registry.ledger("churn")[-1] == entry
        back = registry.set_champion("churn", "1", action="rollback", why="w", even_if_refused=True, **call)
        assert back.refusal == "", "nothing was overruled"
        with pytest.raises(TesseraError, match="the gate stopped it"):
            registry.set_champion("churn", stopped, action="rollback", why="w", **call)

    def test_a_version_that_no_gate_judged_is_put_in_charge_by_a_person_with_a_reason_alone(
        self, registry: Registry, package: Path
    ) -> None:
        version = registry.register("churn", package, parameters={}, metrics={}, tags={"kind": "linear"}, report="")
        call = {"action": "promote", "who": "ann", "run_id": "", "metrics": {}}
        with pytest.raises(TesseraError, match=r"the gate never judged it.*--even-if-refused --why"):
            registry.set_champion("churn", version, why="w", **call)
        assert registry.ledger("churn") == []
        entry = registry.set_champion("churn", version, why="it is an import", even_if_refused=True, **call)
        assert (registry.champion("churn"), entry.refusal) == (version, "the gate never judged it")

    def test_a_rollback_goes_to_former_champions_only(self, registry: Registry, package: Path) -> None:
        for _ in range(2):
            _register(registry, package)
        _promote(registry, "1")
        with pytest.raises(TesseraError, match="never was champion"):
            _promote(registry, "2", "rollback")
        assert registry.champion("churn") == "1"

    def test_the_champion_again_changes_nothing(self, reopen: Open, package: Path) -> None:
        _register(reopen(), package)
        first = _promote(reopen(), "1")
        again = _promote(reopen(), "1")
        assert entry_line(again) == entry_line(first)
        assert [entry_line(entry) for entry in reopen().ledger("churn")] == [entry_line(first)]

    @pytest.mark.parametrize("version", ["2", "01", "latest", "../1", ""])
    def test_a_missing_version_is_refused_before_anything_is_written(
        self, registry: Registry, package: Path, version: str
    ) -> None:
        _register(registry, package)
        _promote(registry, "1")
        with pytest.raises(TesseraError, match=f"churn has no version {version!r}. Expected one of '1'"):
            _promote(registry, version)
        with pytest.raises(TesseraError, match="has no version"):
            registry.fetch("churn", version)
        assert (registry.champion("churn"), len(registry.ledger("churn"))) == ("1", 1)

    def test_nothing_can_be_retired_when_nothing_is_in_charge(self, registry: Registry) -> None:
        with pytest.raises(TesseraError, match="no champion to retire"):
            _promote(registry, None, "retire")

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
            _promote(reopen(), "1")
        assert file.read_text() == "".join(lines)

    def test_an_edited_or_removed_last_line_is_refused(self, reopen: Open, package: Path, tmp_path: Path) -> None:
        file = self._three_entries(reopen, package, tmp_path)
        lines = file.read_text().splitlines(keepends=True)
        for changed in ([*lines[:2], lines[2].replace("better", "worse!")], lines[:2], lines[:1], []):
            file.write_text("".join(changed))
            with pytest.raises(TesseraError, match="do not belong together"):
                reopen().versions("churn")
            with pytest.raises(TesseraError, match="do not belong together"):
                _promote(reopen(), "1")

    def _three_entries(self, reopen: Open, package: Path, tmp_path: Path) -> Path:
        for _ in range(2):
            _register(reopen(), package)
        for version in ("1", "2", "1"):
            _promote(reopen(), version)
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
        _promote(reopen(), "2")
        assert (reopen().champion("churn"), len(reopen().ledger("churn"))) == ("2", 4)

    def test_the_lock_is_reentrant_across_instances_and_keeps_others_out(self, reopen: Open, package: Path) -> None:
        _register(reopen(), package)
        order: list[str] = []

        def other() -> None:
            _promote(reopen(), "1")
            order.append("other")

        with reopen().lock("churn"), reopen().lock("churn"):
            waiting = threading.Thread(target=other)
            waiting.start()
            assert len(reopen().versions("churn")) == 1
            waiting.join(0.2)
            assert reopen().champion("churn") is None
            order.append("holder")
        waiting.join()
        assert order == ["holder", "other"]

    def test_readers_do_not_wait_for_a_promotion(self, reopen: Open, package: Path) -> None:
        _register(reopen(), package)
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            with reopen().lock("churn"):
                held.set()
                free.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        try:
            assert len(reopen().versions("churn")) == 1
            assert _files(reopen().fetch("churn", "1")) == _files(package)
        finally:
            free.set()
            holder.join()

    @pytest.mark.parametrize("app", ["../churn", "", "a b", "churn'--"])
    def test_names_that_are_no_names_are_refused(self, registry: Registry, package: Path, app: str) -> None:
        for question in (registry.champion, registry.ledger, registry.versions):
            with pytest.raises(TesseraError, match="cannot be the name"):
                question(app)
        with pytest.raises(TesseraError, match="cannot be the name"):
            _register(registry, package, app)
