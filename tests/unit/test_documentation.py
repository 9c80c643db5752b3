"""Every path that the documentation names exists."""

import re
from pathlib import Path

import pytest

from resources.stack.loader import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: A path into a room; a placeholder such as `<app>` or a pattern ends it.
NAMED = re.compile(r"`((?:pipelines|assets|resources|feature_repo|models|tests|benchmarks|docs)/[\w./-]*\w/?)(?=[`:])")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_exist(page: Path) -> None:
    missing = [path for path in NAMED.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def test_one_command_runs_every_benchmark_that_writes_a_section() -> None:
    listed = re.search(r"^BENCHMARKS := ((?:.*\\\n)*.*)\n", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed is not None
    files = {file.stem: file for file in (ROOT / "benchmarks").glob("*.py") if file.stem != "report"}
    writing = {name for name, file in files.items() if "replace_section(" in file.read_text()}
    assert writing <= set(listed[1].replace("\\", "").split()) <= files.keys()
