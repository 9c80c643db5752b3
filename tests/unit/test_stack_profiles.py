"""Writing a profile into a stack file leaves every other line as it is."""

from pathlib import Path

import pytest
import yaml

from models.errors import TesseraError
from resources.stack.added_profiles import add_profile
from resources.stack.loader import ROOT

PROFILE = {
    "extends": "local",
    "ports": {"source": {"kind": "files", "tables": {"orders": {"location": "/my files/é"}}}},
}


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    file = tmp_path / "stack.yaml"
    file.write_bytes((ROOT / "stack.yaml").read_bytes())
    return file


def test_other_profiles_and_comments_stay(stack: Path) -> None:
    before = stack.read_text()
    add_profile(stack, "mine", PROFILE, comments=["order_id: A"])
    after = stack.read_text()
    assert [line for line in after.splitlines() if line in before.splitlines() or not line] >= before.splitlines()
    assert after.startswith(before)
    assert "  # order_id: A\n  mine:\n" in after
    known = yaml.safe_load(before)["profiles"]
    assert yaml.safe_load(after)["profiles"] == {**known, "mine": PROFILE}


def test_a_profile_is_replaced_only_when_asked(stack: Path) -> None:
    add_profile(stack, "mine", PROFILE, comments=["first"])
    add_profile(stack, "other", PROFILE)
    with pytest.raises(TesseraError, match="has a profile 'mine' already"):
        add_profile(stack, "mine", {"extends": "local"})
    add_profile(stack, "mine", {"extends": "local"}, comments=["second"], replace=True)
    text = stack.read_text()
    assert "# first" not in text
    assert yaml.safe_load(text)["profiles"]["mine"] == {"extends": "local"}
    assert yaml.safe_load(text)["profiles"]["other"] == PROFILE


def test_a_key_behind_the_profiles_stays_behind_them(tmp_path: Path) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(
        "profiles:\n    one: {home: var}\n    # about two\n    two: {home: b}\n\n# last\ndefault_profile: one\n"
    )
    add_profile(file, "three", {"home": "c"})
    assert list(yaml.safe_load(file.read_text())) == ["profiles", "default_profile"]
    assert list(yaml.safe_load(file.read_text())["profiles"]) == ["one", "two", "three"]
    assert file.read_text().endswith("\n\n# last\ndefault_profile: one\n")


@pytest.mark.parametrize("text", ["", "profiles:\n", "profiles: {a: {home: x}}\n", "- 1\n"])
def test_a_file_without_room_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(text)
    with pytest.raises(TesseraError, match="has no profiles"):
        add_profile(file, "mine", PROFILE)
    assert file.read_text() == text
