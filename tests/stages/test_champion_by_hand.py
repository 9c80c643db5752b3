"""A person may overrule the gate, with a reason that is seen wherever the model is; no one does it by accident."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from models.errors import TesseraError
from pipelines.cli import commands
from pipelines.cli.card import card
from pipelines.cli.run import Outcome
from resources.registry.port import Registry
from resources.stack.loader import ROOT, Stack, active_stack
from tests.stages.test_golden_set import package

#: Versions 1, 2 and 4 passed the gate, which stopped version 3; 1 and then 2 were promoted.
GATE = ("passed", "passed", "stopped by leakage, jump", "passed")
Tessera = Callable[..., str]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    registry_of_folders = {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}
    document["profiles"]["local"]["ports"]["registry"] = registry_of_folders
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("TESSERA_STACK", str(tmp_path / "stack.yaml"))
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TESSERA_PROFILE", raising=False)
    active_stack.cache_clear()
    registry: Registry = active_stack().open("registry")
    made = package(tmp_path, shift=0.0)
    for gate in GATE:
        registry.register("churn", made, parameters={}, metrics={}, tags={"kind": "linear", "gate": gate}, report="")
    for version in ("1", "2"):
        registry.set_champion("churn", version, action="promote", why="better", who="job", run_id="r", metrics={})
    yield active_stack()
    active_stack.cache_clear()


@pytest.fixture
def tessera(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Tessera:
    def call(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            commands.app.main(list(arguments))
        assert ended.value.code == 0
        return capsys.readouterr().out

    return call


def champion(stack: Stack) -> str | None:
    return stack.open("registry").champion("churn")


def shown_card(job: str, stack: Stack) -> str:
    console = Console(width=400, record=True, quiet=False, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(card(Outcome(job, date(2026, 3, 1), "r" * 8), stack))
    console.file.close()
    return console.export_text()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("rollback", "churn", "--to", "3"), "the gate stopped it (leakage, jump)"),
        (("rollback", "churn", "--to", "4"), "it never was champion"),
        (("promote", "churn", "--version", "3"), "the gate stopped it (leakage, jump)"),
        (("promote", "churn", "--version", "3", "--even-if-refused"), "without a reason"),
        (("rollback", "churn", "--to", "3", "--even-if-refused", "--why", "  "), "without a reason"),
        (("promote", "churn", "--version", "9", "--even-if-refused", "--why", "x"), "no version '9'"),
    ],
)
def test_what_the_gate_stopped_or_never_was_champion_is_refused(
    stack: Stack, tessera: Tessera, command: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(TesseraError) as refused:
        commands.app.main(list(command))
    assert reason in refused.value.what
    assert champion(stack) == "2"
    assert len(stack.open("registry").ledger("churn")) == 2


@pytest.mark.parametrize("command", [("rollback", "churn", "--to", "3"), ("promote", "churn", "--version", "3")])
def test_a_person_may_insist_and_every_card_says_so_until_the_next_promotion(
    stack: Stack, tessera: Tessera, command: tuple[str, ...]
) -> None:
    said = tessera(*command, "--even-if-refused", "--why", "the jump is [real]")
    assert "Version 3 is champion (was 2)" in said
    entry = stack.open("registry").ledger("churn")[-1]
    assert (entry.why, entry.refusal) == ("the jump is [real]", "the gate stopped it (leakage, jump)")
    sentence = "version 3, made champion by hand although the gate stopped it (leakage, jump): the jump is [real]"
    assert f"champion: {sentence}" in tessera("models", "churn")
    for job in ("churn_nightly", "churn_fallback", "churn_training", "churn_online"):
        assert sentence in shown_card(job, stack)
    assert "by hand" not in shown_card("fraud_nightly", stack)
    tessera("promote", "churn", "--version", "4")
    assert "by hand although" not in shown_card("churn_nightly", stack) + tessera("models", "churn").split("ledger")[0]
    assert "(although the gate stopped it (leakage, jump))" in tessera("models", "churn"), "the ledger forgets nothing"


def test_a_rollback_without_a_version_never_goes_to_one_that_was_stopped(stack: Stack, tessera: Tessera) -> None:
    tessera("promote", "churn", "--version", "3", "--even-if-refused", "--why", "a trial")
    tessera("rollback", "churn", "--to", "1")
    tessera("rollback", "churn")
    assert champion(stack) == "2", "version 3 came before, but the gate stopped it"


def test_without_an_earlier_champion_the_way_out_names_the_users_own_application(
    stack: Stack, tessera: Tessera, tmp_path: Path
) -> None:
    with pytest.raises(TesseraError, match="names no champion before any") as refused:
        commands.app.main(["rollback", "fraud"])
    assert "tessera rollback fraud --to" in refused.value.todo
