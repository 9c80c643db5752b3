"""Every command of the README does what a reader expects of it: it ends well."""

import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from in_process import exit_code, tessera
from shop_home import FRAUD_DAY, SHOP, Home, ended, write_stack

from resources.stack.loader import ROOT

#: Tested elsewhere: `make test` is the suite itself; test_browser.py starts what `make dev` starts; the commands for
#: one's own orders run in test_own_orders.py and test_online_retail.py, those of the profile fraud-handbook in
#: test_fraud.py and test_payment_features.py; whom the shop of a day knows, and can forget, differs by day.
OWN = (".venv/bin/tessera init", ".venv/bin/tessera check --profile", ".venv/bin/tessera run churn_nightly --profile")
ELSEWHERE = (*OWN, "make test", "make dev", "TESSERA_DATA_DIR=", "TESSERA_PROFILE=fraud", ".venv/bin/tessera forget")
FRAUD = ("fraud", "events", "alerts")
#: Age of the shop on the day of the test: `make run` is for yesterday, and has four months of orders to learn from.
DAYS_OPEN = 122
#: What made the home `trained_for_fraud`.
FIRST_OF_FRAUD = f".venv/bin/tessera run fraud_training --date {FRAUD_DAY}"


def commands() -> list[str]:
    """The lines of the README's bash blocks, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's folder with what is installed already, and room for files that commands write."""
    folder = tmp_path / "project"
    (folder / ".venv").mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in {".venv", "var", ".git"}:
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv" / "bin").symlink_to(ROOT / ".venv" / "bin")
    for stamp in (".uv", ".core", ".test"):
        (folder / ".venv" / stamp).touch()
    return folder


def test_every_command_ends_well(project: Path, tmp_path: Path) -> None:
    opened = datetime.now(UTC).date() - timedelta(days=DAYS_OPEN)
    shop = {"ports": {"source": SHOP | {"first_day": opened.isoformat()}}}
    home = Home(tmp_path / "home", write_stack(tmp_path / "stack.yaml", shop))
    ours = [line for line in commands() if not line.startswith(ELSEWHERE) and not _is_of_fraud(line)]
    assert ours[0] == "make run"
    assert len(ours) >= 7
    for line in ours:
        if "rollback" in line:
            _give_it_a_second_champion(home)
        _ends_well(_of_this_home(line, home) if "backfill" in line else line, project, home)
    assert (project / "scores.csv").stat().st_size > 10_000
    assert len(home.opened().open("sink").published_days("churn")) == 3


def test_every_command_of_fraud_ends_well(project: Path, trained_for_fraud: Home, tmp_path: Path) -> None:
    ours = [line for line in commands() if _is_of_fraud(line) and not line.startswith(ELSEWHERE)]
    assert len(ours) == 6
    assert ours[0] == FIRST_OF_FRAUD
    home = trained_for_fraud.copy(tmp_path / "home")
    said = [_ends_well(line, project, home) for line in ours[1:]]
    assert "is labelled fraud: 1 payment, 1 event published" in said[-2], "the README names an alert that is there"
    assert "0 other scores, 0 only online, 0 only offline" in " ".join(said[-1].split())


def _is_of_fraud(line: str) -> bool:
    return any(word in line.replace("_", " ").split() for word in FRAUD)


def _of_this_home(line: str, home: Home) -> str:
    """The command for the two days before the published one: a small shop's records begin after those of the README."""
    (day,) = home.opened().open("sink").published_days("churn")
    for before, there in enumerate(("2026-01-12", "2026-01-11"), start=1):
        assert there in line
        line = line.replace(there, (day - timedelta(days=before)).isoformat())
    return line


def _ends_well(line: str, project: Path, home: Home) -> str:
    """Output of the command; `make` starts a process, the installed `tessera` is called in this one."""
    program, *arguments = shlex.split(line)
    environment = home.environment({"COLUMNS": "200"})
    if program == ".venv/bin/tessera":
        said = tessera(arguments, environment, project)
    else:
        said = ended(
            subprocess.Popen([program, *arguments], cwd=project, env=environment, stdout=-1, stderr=-1, text=True)
        )
    assert said.code == 0, f"{line}\n{said.out}\n{said.err}"
    assert "Traceback" not in said.out + said.err
    assert "leaked" not in said.err, "a library prints what is alive when its process ends"
    return said.out


def _give_it_a_second_champion(home: Home) -> None:
    """The first run registers two versions, the one that the gate evaluated and its refit: the other one takes over."""
    (other,) = {"1", "2"} - {home.opened().open("registry").champion("churn")}
    insist = ("--even-if-refused", "--why", "the README rolls back from here")
    home.tessera("promote", "churn", "--version", other, *insist)


def test_dagster_validates_the_definitions_of_the_folder(empty: Home) -> None:
    said = empty.process("definitions", "validate", program="dagster")
    assert "successful" in said.out + said.err


def test_dg_lists_the_definitions_of_the_folder(empty: Home, capfd: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["dg", "list", "defs"], empty.environment()) == 0
    assert "churn_nightly" in capfd.readouterr().out
