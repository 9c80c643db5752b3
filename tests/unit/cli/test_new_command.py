"""`tessera new`: names, files in house style whatever the name, all or nothing; never over something that exists."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from pipelines.cli import new as command
from pipelines.cli.skeleton.names import LONGEST, check_name
from pipelines.cli.skeleton.rendering import APPS, SETTINGS, changed_files, new_files
from resources.stack.loader import ROOT
from tests.unit.test_plain_english import ASKING, banned_in, first_lines_of

TASKS = ("binary", "regression")
#: Stands for the generator of pages: it imports what names the applications, and writes one page.
PAGES = """
import pathlib, sys
if pathlib.Path("broken").exists():
    raise SystemExit("ImportError: no module named nothing")
pathlib.Path("docs/assets.md").write_text("new")
"""
#: The rooms are no third parties, though they are not in the folder.
OURS = 'lint.isort.known-first-party=["assets", "models", "pipelines", "resources", "tests"]'
NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}(_[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(
    lambda name: len(name) <= LONGEST
)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a clone that name all applications, and a generator of pages; the working directory is in it."""
    folder = tmp_path / "clone"
    for path in ("pyproject.toml", APPS, SETTINGS):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    others = {"pipelines/__init__.py": "", "pipelines/docs/__init__.py": "", "pipelines/docs/__main__.py": PAGES}
    for path, text in (others | {"docs/assets.md": "old", "tests/apps/keep": ""}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.chdir(folder / "docs")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.suffix != ".pyc")
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def folders_of(folder: Path) -> set[Path]:
    return {found for found in folder.rglob("*") if found.is_dir() and found.name != "__pycache__"}


@pytest.mark.parametrize("task", TASKS)
def test_it_writes_the_application_and_names_it_once(clone: Path, task: str) -> None:
    before = files_of(clone)
    command.new("returns", task, dry_run=False)  # pyright: ignore[reportArgumentType]
    after = files_of(clone)
    assert {path for path in after if path not in before} == set(new_files("returns", task))  # pyright: ignore[reportArgumentType]
    assert {path for path in before if after[path] != before[path]} == {APPS, SETTINGS, "docs/assets.md"}
    assert b"DEMAND, SUPPORT, PERSONALIZATION, RETURNS)" in after[APPS]
    assert after[SETTINGS].count(b"returns: ReturnsSettings = ReturnsSettings()") == 1


def test_twice_is_one_sentence_and_no_change(clone: Path) -> None:
    command.new("returns", "binary", dry_run=False)
    before = files_of(clone)
    with pytest.raises(TesseraError, match=r"There is an application 'returns' already\."):
        command.new("returns", "regression", dry_run=False)
    assert files_of(clone) == before


def test_a_dry_run_lists_and_writes_nothing(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_of(clone)
    command.new("returns", "binary", dry_run=True)
    assert files_of(clone) == before
    said = capsys.readouterr().out
    assert all(path in said for path in (*new_files("returns", "binary"), APPS, SETTINGS))


@pytest.mark.parametrize("trouble", ["broken", "tests/apps/returns", "models/features"])
def test_what_cannot_be_finished_is_undone(clone: Path, trouble: str) -> None:
    """The project does not load with it; a file stands where a folder has to be."""
    (clone / trouble).write_text("")
    before, folders = files_of(clone), folders_of(clone)
    with pytest.raises((TesseraError, OSError)):
        command.new("returns", "binary", dry_run=False)
    assert (files_of(clone), folders_of(clone)) == (before, folders)


def test_what_a_killed_run_left_is_finished(clone: Path) -> None:
    command.new("returns", "binary", dry_run=False)
    done = files_of(clone)
    for path in (APPS, SETTINGS):
        shutil.copy(ROOT / path, clone / path)
    (clone / "pipelines" / "returns.py").unlink()
    command.new("returns", "binary", dry_run=False)
    assert files_of(clone) == done


@pytest.mark.parametrize("path", ["assets/returns/mine.py", "models/features/returns.py", "tests/unit/test_returns.py"])
def test_nothing_that_exists_is_written_over(clone: Path, path: str) -> None:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    (clone / path).write_text("mine")
    before = files_of(clone)
    with pytest.raises(TesseraError, match=r"cannot be called 'returns': .* exists\."):
        command.new("returns", "binary", dry_run=False)
    assert files_of(clone) == before


@pytest.mark.parametrize(
    ("path", "text"),
    [(APPS, "APPS = 5\n"), (APPS, "APPS: tuple = (\n"), (SETTINGS, "class Other: ...\n"), (SETTINGS, "\x00")],
)
def test_a_shared_file_of_another_shape_is_named(clone: Path, path: str, text: str) -> None:
    (clone / path).write_text(text)
    before = files_of(clone)
    with pytest.raises(TesseraError, match=rf"{path} is not as `tessera new` knows it.*docs/new-application.md"):
        command.new("returns", "binary", dry_run=False)
    assert files_of(clone) == before


def test_outside_of_a_clone_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.clone_of(tmp_path) == ROOT, "the clone that this program runs from"
    monkeypatch.setattr(command, "ROOT", tmp_path / "site-packages")
    with pytest.raises(TesseraError, match=r"is not inside a clone of the project.*Clone the project"):
        command.clone_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Repeat-Buyers", "Call it 'repeat_buyers'"),
        ("RepeatBuyers", "Call it 'repeat_buyers'"),
        ("2nd", "Call it 'nd'"),
        ("", "Choose another name"),
        ("i", "2 to"),
        ("été", "is no name"),
        ("a__b", "Call it 'a_b'"),
        ("ab_", "Call it 'ab'"),
        ("../x", "is no name"),
        ("x" * (LONGEST + 1), f"2 to {LONGEST}"),
        ("class", "keyword of Python"),
        ("match", "keyword of Python"),
        ("calendar", "standard library"),
        ("json", "standard library"),
        ("schema", "pydantic"),
        ("model_x", "pydantic"),
        ("orders", "it is a table"),
        ("churn", "exists"),
        ("shop", "assets/shop exists"),
        ("stages", "assets/stages exists"),
        ("apps", "exists"),
        ("partitions", "assets/partitions.py exists"),
        ("automation", "pipelines/automation.py exists"),
        ("purchases", "models/features/purchases.py exists"),
        ("models", "models exists"),
        ("stack", "tests/unit/test_stack.py exists"),
    ],
)
def test_a_name_that_means_something_else_is_refused(name: str, says: str) -> None:
    with pytest.raises(TesseraError, match=says):
        check_name(name, ROOT)


@pytest.mark.parametrize("name", ["storage", "ingestion", "cutoff", "regression", "app", "trainer"])
def test_a_name_that_the_settings_use_is_refused(name: str) -> None:
    assert not _is_free(name)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_one_sentence(name: str) -> None:
    try:
        check_name(name, ROOT)
    except TesseraError:
        return
    assert name.isidentifier()
    assert name == name.lower()


@pytest.mark.slow
@settings(max_examples=2, phases=[Phase.generate])
@given(st.lists(NAMES, min_size=6, max_size=6, unique=True))
def test_files_are_in_house_style_whatever_the_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Wherever a name sorts among the imports, and however long it is."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in (APPS, SETTINGS):
        (folder / path).parent.mkdir(parents=True)
        shutil.copy(ROOT / path, folder / path)
    for name in (*names, "a" * LONGEST, "z" * LONGEST):
        for task, app in zip(TASKS, (name, f"{name[:-1]}0"), strict=True):
            if _is_free(app, folder) and not re.search(r"0[0-9]", app):  # ruff compares those as fractions
                texts = new_files(app, task) | changed_files(app, task, folder)  # pyright: ignore[reportArgumentType]
                for path, text in texts.items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_text(text)
    for arguments in (["check", "--config", OURS], ["format", "--check", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
    assert all(ast.get_docstring(tree) for tree in _trees(folder))
    words = {file.name: banned_in(file.read_text(encoding="utf-8")) for file in folder.rglob("*.py")}
    assert {name: found for name, found in words.items() if found} == {}
    assert [line for tree in _trees(folder) for line in first_lines_of(tree) if ASKING.match(line)] == []
    shutil.rmtree(folder)


def _is_free(name: str, clone: Path = ROOT) -> bool:
    try:
        check_name(name, ROOT)
        changed_files(name, "binary", clone)
    except TesseraError:
        return False
    return True


def _trees(folder: Path) -> Iterator[ast.Module]:
    return (ast.parse(file.read_text(), str(file)) for file in folder.rglob("*.py"))


def test_every_template_comes_with_the_package() -> None:
    """A wheel has what lies in its packages and git knows."""
    templates = {
        file.name for file in (ROOT / "pipelines" / "cli" / "skeleton" / "templates").rglob("*") if file.is_file()
    }
    assert all(name.endswith(".py.tmpl") for name in templates)
    ignored = subprocess.run(["git", "check-ignore", *templates], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""
    assert os.access(ROOT / "pipelines" / "cli" / "skeleton" / "templates" / "binary", os.R_OK)
