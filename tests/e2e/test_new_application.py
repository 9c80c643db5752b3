"""What `tessera new` writes works before a line is changed: in a copy of the project, both tasks."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from in_process import tessera

from pipelines.cli.skeleton.rendering import APPS, SETTINGS, new_files
from resources.stack.loader import ROOT
from tests.fork_server import PROCESSES

ROOMS = ("tessera", "pipelines", "assets", "resources", "models", "feature_repo", "benchmarks", "tests", "docs")
FILES = ("pyproject.toml", "stack.yaml", "dagster.yaml", "workspace.yaml", "README.md", "CONTRIBUTING.md")
SKELETONS = {"repeat_buyers": "binary", "zonal_sales": "regression"}
#: Tests of ours that look at every application.
OF_ALL_APPS = (
    "tests/unit/test_definitions.py::test_the_graph_is_the_known_one",
    "tests/unit/test_build_definitions.py::test_every_application_has_a_record_and_settings",
    "tests/unit/features/test_page.py",
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("new application")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project with one application of each task."""
    folder = tmp_path_factory.mktemp("project")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room)  # with what Python compiled: the times of files are kept
    for file in FILES:
        shutil.copy(ROOT / file, folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    for app, task in SKELETONS.items():
        said = tessera(["new", app, "--task", task], environment, folder)
        assert said.code == 0, said.err
    yield folder
    shutil.rmtree(folder)


def run(copy: Path, *arguments: str) -> None:
    """A module of Python in the copy, whose packages count before the installed ones."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def run_forked(copy: Path, *programs: tuple[str, ...]) -> None:
    """Modules of the copy, one after the other, in a fork that has the libraries loaded, and nothing of the project."""
    said = copy / "said.txt"
    process = PROCESSES.Process(target=_as_programs, args=(copy, programs, said))
    process.start()
    process.join()
    assert process.exitcode == 0, said.read_text()[-7000:]


def _as_programs(copy: Path, programs: Sequence[tuple[str, ...]], said: Path) -> None:
    output = os.open(said, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(copy)
    for name, loaded in list(sys.modules.items()):
        file = Path(getattr(loaded, "__file__", None) or "/")
        if file.is_relative_to(ROOT / "tests") or (file.is_relative_to(ROOT) and name.partition(".")[0] in ROOMS):
            del sys.modules[name]
    sys.path.insert(0, str(copy))
    for program in programs:
        sys.argv = [*program]
        try:
            runpy.run_module(program[0], run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            if ended.code:
                raise


def test_its_tests_and_those_of_all_applications_pass_and_the_generated_pages_know_it(copy: Path) -> None:
    own = [f"tests/apps/{app}" for app in SKELETONS]
    tests = ("pytest", "-q", "-p", "no:cacheprovider", *own, *OF_ALL_APPS)
    run_forked(copy, tests, ("pipelines.docs", "--check"))
    assert "passed" in (copy / "said.txt").read_text()
    assert all(f"`{app}/publication`" in (copy / "docs" / "assets.md").read_text() for app in SKELETONS)


def test_it_is_in_house_style_and_typed(copy: Path) -> None:
    files = [path for app, task in SKELETONS.items() for path in new_files(app, task)]  # pyright: ignore[reportArgumentType]
    run(copy, "ruff", "check", "--no-cache", *files, APPS, SETTINGS)
    run(copy, "ruff", "format", "--no-cache", "--check", *files, APPS, SETTINGS)
    typed = [path for path in files if not path.startswith("tests")]
    run(copy, "basedpyright", "--level", "error", "--pythonpath", sys.executable, *typed, APPS, SETTINGS)
