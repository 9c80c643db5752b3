"""Applications and days as a user types them."""

from pathlib import Path

import pytest

from models.errors import TesseraError
from pipelines.cli.arguments import check_runs
from pipelines.cli.publications import scores
from resources.stack.loader import active_stack, load_stack


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "stack.yaml"
    file.write_text("profiles: {mine: {apps: [churn, fraud]}}\n")
    return file


def test_a_job_of_an_application_that_the_profile_does_not_run_names_the_setting(file: Path) -> None:
    stack = load_stack(file, None, None, {})
    with pytest.raises(TesseraError, match="'mine' does not run the application 'demand'") as refused:
        check_runs("demand", stack)
    assert "churn, fraud" in refused.value.expected
    assert "`apps` in stack.yaml" in refused.value.todo


@pytest.mark.parametrize("app", ["churn", "fraud", ""])
def test_its_own_applications_and_jobs_of_none_pass(file: Path, app: str) -> None:
    check_runs(app, load_stack(file, None, None, {}))


def test_scores_of_an_application_that_the_profile_does_not_run_are_not_awaited_from_its_job(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESSERA_STACK", str(file))
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    active_stack.cache_clear()
    with pytest.raises(TesseraError, match="does not run the application 'demand'"):
        scores("demand", "2026-01-31", None)
    with pytest.raises(TesseraError, match="2026-01-31") as of_one_that_it_runs:
        scores("churn", "2026-01-31", None)
    active_stack.cache_clear()
    assert "tessera run churn_nightly" in of_one_that_it_runs.value.todo
