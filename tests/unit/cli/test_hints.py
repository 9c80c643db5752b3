"""Commands inside errors: copied into a shell, they work in the same stack, profile and home."""

import os
import re
import shlex
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from pipelines.cli import ending
from pipelines.cli.card import card
from pipelines.cli.console import out
from pipelines.cli.hints import runnable
from pipelines.cli.run import Outcome
from resources.stack.loader import ROOT, load_stack

NAMES = ("TESSERA_STACK", "TESSERA_PROFILE", "TESSERA_HOME")
HINT = "Publish them: `tessera publish churn --date 2026-03-01`, or `tessera dev`."


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["tessera"])


def commands(text: str) -> list[list[str]]:
    return [shlex.split(one) for one in re.findall(r"`([^`]*)`", text)]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_characters="`\0", codec="utf-8"))))
def test_a_shell_reads_back_what_chose_stack_profile_and_home(chosen: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in chosen.items():
            patch.setenv(name, value)
        said = commands(runnable(HINT))
    given = [f"{name}={chosen[name]}" for name in NAMES if chosen.get(name)]
    assert said == [
        [*given, "tessera", "publish", "churn", "--date", "2026-03-01"],
        [*given, "tessera", "dev"],
    ]


def test_only_commands_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_HOME", "/data")
    text = "Correct `tessera` in `stack.yaml`; tessera runs `make dev`, `tessera-2 x`."
    assert runnable(text) == text


def test_a_program_that_is_not_on_the_path_is_called_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "a b" / "tessera"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commands(runnable(HINT))[1] == [str(program), "dev"]
    monkeypatch.setenv("PATH", str(program.parent))
    assert commands(runnable(HINT))[1] == ["tessera", "dev"]


def test_an_error_says_it_to_do_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TESSERA_PROFILE", "online-retail")

    def command() -> None:
        raise TesseraError("It waits: `tessera run x` holds it.", expected="scores", todo=HINT)

    assert ending.ended(command) == 2
    what, _, todo = capsys.readouterr().err.splitlines()
    assert "`tessera run x` holds it" in what, "this is not what to do"
    assert "`TESSERA_PROFILE=online-retail tessera publish churn --date 2026-03-01`" in todo


def test_the_card_of_a_failed_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path))
    stack = load_stack(ROOT / "stack.yaml", None, str(tmp_path), os.environ)
    outcome = Outcome("storage_weekly", date(2026, 3, 1), "0123456789", complaint=HINT)
    with out.capture() as captured:
        out.print(card(outcome, stack))
    text = "".join(captured.get().replace("│", " ").split())  # a long path is broken over two lines
    assert f"`TESSERA_HOME={tmp_path}tesserapublishchurn--date2026-03-01`" in text
