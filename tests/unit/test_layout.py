"""A home of another layout is refused by whoever opens anything in it; a new one gets its number at first use."""

import json
import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.home import writable_home
from resources.layout import FILE, LAYOUT, check_layout
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.ports import stack_resources


def stack_in(home: Path) -> Stack:
    return load_stack(ROOT / "stack.yaml", "local", str(home), os.environ)


@dg.asset
def reader(lake: dg.ResourceParam[object]) -> None:
    """An asset that opens the lake."""
    lake.open()  # pyright: ignore[reportAttributeAccessIssue]


def run(stack: Stack) -> str:
    result = dg.materialize([reader], resources={"lake": stack_resources(stack)["lake"]}, raise_on_error=False)
    return "" if result.success else str(result.failure_data_for_node("reader"))


@pytest.mark.parametrize("use", [lambda s: s.open("lake"), writable_home, run], ids=["port", "command", "asset"])
@pytest.mark.slow
def test_a_new_home_is_numbered_at_first_use_and_opened_ever_after(use: object, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for _ in range(2):
        assert not isinstance(use(stack_in(home)), str) or not use(stack_in(home))
        assert json.loads((home / FILE).read_text()) == {"layout": LAYOUT}
        (home / "lake").mkdir(exist_ok=True)
    assert home.stat().st_mode & 0o777 == 0o700 or use is writable_home
    assert sorted(file.name for file in home.iterdir() if file.is_file()) == [FILE]


@pytest.mark.slow
@pytest.mark.parametrize("data", ["lake", "scores", "mlflow", "feast", "events.db", "streams.db"])
def test_a_home_with_data_and_no_number_is_refused_everywhere(data: str, tmp_path: Path) -> None:
    (tmp_path / data).mkdir()
    stack = stack_in(tmp_path)
    for opened in (lambda: stack.open("sink"), lambda: writable_home(stack)):
        with pytest.raises(TesseraError, match=r"layout 1, made by an older version .*TESSERA_HOME=.* `mv "):
            opened()
    assert "layout 1" in run(stack)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(("layout", "by"), [(LAYOUT - 1, "an older"), (LAYOUT + 1, "a newer"), (-3, "an older")])
def test_another_layout_is_refused_and_says_how_to_start_anew(layout: int, by: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"layout": layout}))
    with pytest.raises(TesseraError, match=rf"has layout {layout}, made by {by} version .*TESSERA_HOME="):
        stack_in(tmp_path).open("lake")


@given(content=st.binary(max_size=40))
def test_a_torn_number_is_a_sentence_and_never_a_new_number(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / FILE).write_bytes(content)
    try:
        known = json.loads(content).get("layout") == LAYOUT
    except (ValueError, AttributeError):
        known = False
    if known:
        return
    with pytest.raises(TesseraError, match=r"cannot be read|has layout"):
        check_layout(home)
    assert (home / FILE).read_bytes() == content
    shutil.rmtree(home)


def test_files_of_others_in_a_home_are_no_data(tmp_path: Path) -> None:
    """A profile's home may lie in another one's, and Dagster may have written there first."""
    for name in ("online-retail", "dagster", "locks"):
        (tmp_path / name).mkdir()
    check_layout(tmp_path)
    assert (tmp_path / FILE).exists()
