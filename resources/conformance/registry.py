"""The tests of the registry port."""

import json
import math
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from models.ledger import champion_at, entry_line
from resources.conformance.suite import Conformance, needs
from resources.registry.port import Registry

Open = Callable[[], Registry]
TAGS = {"kind": "linear", "gate": "passed"}


def package_at(folder: Path, content: bytes) -> Path:
    """Return a new folder with a package whose model file has this content."""
    (folder / "parts").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"kind": "logistic_regression"}))
    (folder / "parts" / "model.skops").write_bytes(content)
    return folder


def register(registry: Registry, package: Path, app: str = "churn", **metrics: float) -> str:
    """Register a version that the gate passed."""
    return registry.register(
        app, package, parameters={"depth": "3"}, metrics=metrics, tags=TAGS, report="# Gate\n\npassed"
    )


def promote(registry: Registry, version: str | None, action: str = "promote", app: str = "churn") -> Any:
    """Make a version the champion, or retire the champion."""
    return registry.set_champion(
        app, version, action=action, why="better", who="ann", run_id="r1", metrics={"auc": 0.8, "slice": math.nan}
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files of a package."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class RegistryConformance(Conformance):
    """The tests that every registry must pass. A harness overrides the fixture `reopen`."""

    port: ClassVar = "registry"

    @pytest.fixture
    def reopen(self) -> Open:
        """A function that opens the registry under test, the same one each time, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `reopen`.")

    @pytest.fixture
    def registry(self, reopen: Open) -> Registry:
        """The registry under test, without versions at first."""
        return reopen()

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        """A folder with a model package."""
        return package_at(tmp_path / "package", b"{first")

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
        numbers = [register(registry, package, auc=0.1 * n, ece=math.nan) for n in range(1, 12)]
        assert numbers == [str(n) for n in range(1, 12)]
        promote(registry, "10")
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
        version = register(reopen(), package)
        wanted = files_of(package)
        shutil.rmtree(package)
        fetched = reopen().fetch("churn", version)
        assert files_of(fetched) == wanted
        assert files_of(reopen().fetch("churn", version)) == wanted
        assert files_of(reopen().fetch_anew("churn", version)) == wanted

    def test_versions_with_the_same_bytes_and_apps_are_kept_apart(self, registry: Registry, package: Path) -> None:
        assert [register(registry, package), register(registry, package), register(registry, package, "fraud")] == [
            "1",
            "2",
            "1",
        ]
        promote(registry, "2")
        assert (registry.champion("churn"), registry.champion("fraud")) == ("2", None)

    def test_the_ledger_names_the_version_that_a_refit_was_judged_by(self, reopen: Open, package: Path) -> None:
        first, refit, other = (register(reopen(), package) for _ in range(3))
        entry: dict[str, Any] = {"action": "promote", "why": "w", "who": "ann", "run_id": "", "metrics": {}}
        reopen().set_champion("churn", refit, judged=first, **entry)
        assert [(line.to_version, line.judged) for line in reopen().ledger("churn")] == [(refit, first)]
        back: dict[str, Any] = {**entry, "action": "rollback"}
        reopen().set_champion("churn", first, **back)
        with pytest.raises(TesseraError, match="never was champion"):
            reopen().set_champion("churn", other, **back)

    @needs("retaggable")
    def test_tags_can_be_corrected_and_the_others_stay(self, reopen: Open, package: Path) -> None:
        version = register(reopen(), package)
        assert reopen().retag("churn", version, {"gate": "stopped by loads"})
        (found,) = reopen().versions("churn")
        assert dict(found.tags) == {"kind": "linear", "gate": "stopped by loads"}
        with pytest.raises(TesseraError, match="7"):
            reopen().retag("churn", "7", {"gate": "passed"})

    @pytest.mark.parametrize(
        ("name", "content"),
        [("model.pkl", b"x"), ("model.joblib", b"x"), ("run.py", b"x"), ("model.skops", b"\x80\x05K")],
    )
    def test_files_that_may_run_code_are_refused(
        self, registry: Registry, package: Path, name: str, content: bytes
    ) -> None:
        (package / name).write_bytes(content)
        with pytest.raises(TesseraError, match=name):
            register(registry, package)
        assert list(registry.versions("churn")) == []

    def test_links_out_of_the_package_are_refused(self, registry: Registry, package: Path) -> None:
        (package / "outside.json").symlink_to("/etc/hostname")
        with pytest.raises(TesseraError, match=r"outside\.json"):
            register(registry, package)

    def test_a_folder_without_manifest_is_no_package(self, registry: Registry, package: Path) -> None:
        (package / "manifest.json").unlink()
        with pytest.raises(TesseraError, match=r"manifest\.json"):
            register(registry, package)

    def test_the_ledger_tells_who_was_champion_when(self, reopen: Open, package: Path) -> None:
        registry = reopen()
        for _ in range(2):
            register(registry, package)
        entries = [promote(registry, "1"), promote(registry, "2"), promote(registry, "1", "rollback")]
        entries.append(promote(registry, None, "retire"))
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

    def test_the_last_gate_verdict_of_each_application_is_kept(self, reopen: Open) -> None:
        assert reopen().last_verdict("churn") is None
        about: dict[str, Any] = {"day": date(2026, 1, 5), "at": datetime.now(UTC), "run_id": "r", "candidate": "linear"}
        passed = GateVerdict(app="churn", version="2", checks=3, reasons={}, **about)
        renewed = GateVerdict(
            app="churn", version=None, checks=3, reasons={"champion": "no better"}, renewal=passed, **about
        )
        for verdict in (passed, renewed):
            reopen().record_verdict(verdict)
            assert reopen().last_verdict("churn") == verdict
        assert reopen().last_verdict("fraud") is None

    def test_a_version_that_the_gate_stopped_is_promoted_by_no_caller_unless_a_person_insists_with_a_reason(
        self, registry: Registry, package: Path
    ) -> None:
        register(registry, package)
        promote(registry, "1")
        tags = {"kind": "linear", "gate": "stopped by floor"}
        stopped = registry.register("churn", package, parameters={}, metrics={}, tags=tags, report="")
        call: dict[str, Any] = {"who": "ann", "run_id": "", "metrics": {}}
        for action in ("promote", "rollback"):
            with pytest.raises(TesseraError, match=r"the gate stopped it \(floor\)"):
                registry.set_champion("churn", stopped, action=action, why="w", **call)
            with pytest.raises(TesseraError):
                registry.set_champion("churn", stopped, action=action, why=" ", even_if_refused=True, **call)
        assert len(registry.ledger("churn")) == 1
        entry = registry.set_champion("churn", stopped, action="promote", why="w", even_if_refused=True, **call)
        assert (entry.refusal, entry.gate) == ("the gate stopped it (floor)", "stopped by floor")
        assert registry.ledger("churn")[-1] == entry
        back = registry.set_champion("churn", "1", action="rollback", why="w", even_if_refused=True, **call)
        assert back.refusal == "", "nothing was overruled"
        with pytest.raises(TesseraError, match="the gate stopped it"):
            registry.set_champion("churn", stopped, action="rollback", why="w", **call)

    def test_a_version_that_no_gate_judged_is_promoted_by_a_person_with_a_reason_alone(
        self, registry: Registry, package: Path
    ) -> None:
        version = registry.register("churn", package, parameters={}, metrics={}, tags={"kind": "linear"}, report="")
        call: dict[str, Any] = {"action": "promote", "who": "ann", "run_id": "", "metrics": {}}
        with pytest.raises(TesseraError, match=r"the gate never evaluated it.*--even-if-refused --why"):
            registry.set_champion("churn", version, why="w", **call)
        assert registry.ledger("churn") == []
        entry = registry.set_champion("churn", version, why="it is an import", even_if_refused=True, **call)
        assert (registry.champion("churn"), entry.refusal) == (version, "the gate never evaluated it")

    def test_a_rollback_goes_to_former_champions_only(self, registry: Registry, package: Path) -> None:
        for _ in range(2):
            register(registry, package)
        promote(registry, "1")
        with pytest.raises(TesseraError, match="never was champion"):
            promote(registry, "2", "rollback")
        assert registry.champion("churn") == "1"

    def test_the_champion_again_changes_nothing(self, reopen: Open, package: Path) -> None:
        register(reopen(), package)
        first = promote(reopen(), "1")
        again = promote(reopen(), "1")
        assert entry_line(again) == entry_line(first)
        assert [entry_line(entry) for entry in reopen().ledger("churn")] == [entry_line(first)]

    @pytest.mark.parametrize("version", ["2", "01", "latest", "../1", ""])
    def test_a_missing_version_is_refused_before_anything_is_written(
        self, registry: Registry, package: Path, version: str
    ) -> None:
        register(registry, package)
        promote(registry, "1")
        with pytest.raises(TesseraError, match=f"{version!r}.*'1'"):
            promote(registry, version)
        with pytest.raises(TesseraError):
            registry.fetch("churn", version)
        assert (registry.champion("churn"), len(registry.ledger("churn"))) == ("1", 1)

    def test_nothing_can_be_retired_without_a_champion(self, registry: Registry) -> None:
        with pytest.raises(TesseraError):
            promote(registry, None, "retire")

    def test_the_lock_is_reentrant_across_instances_and_keeps_others_out(self, reopen: Open, package: Path) -> None:
        register(reopen(), package)
        order: list[str] = []

        def other() -> None:
            promote(reopen(), "1")
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
        register(reopen(), package)
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
            assert files_of(reopen().fetch("churn", "1")) == files_of(package)
        finally:
            free.set()
            holder.join()
