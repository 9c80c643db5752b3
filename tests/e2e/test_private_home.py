"""The home after a command, with what libraries made in it: its user's alone, and no address where none belongs."""

import stat
from pathlib import Path

import pytest
from forgetting_home import places_with
from shop_home import DAY, Home

#: Tables of the lake that hold e-mail addresses: the register, and what of it was refused. Nothing else may.
REGISTER = ("lake/customers/", "lake/quarantine_customers/")


def open_to_others(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def test_nothing_in_a_home_can_be_read_by_others(empty: Home) -> None:
    empty.folder.mkdir(mode=0o755)
    empty.tessera("check")
    assert len(list(empty.folder.rglob("*"))) > 3
    assert open_to_others(empty.folder) == []


@pytest.fixture
def address(trained: Home) -> str:
    """The end of every address of the shop's customers."""
    lake = trained.opened().open("lake")
    emails = lake.scan("customers").to_table(columns=["email"])["email"].to_pylist()
    ends = {email.rpartition("@")[2] for email in emails}
    assert len(emails) > 500
    assert ends == {"example.com"}
    return "@example.com"


def test_addresses_of_customers_stay_in_the_register(trained: Home, home: Home, address: str, tmp_path: Path) -> None:
    """After a night with its training and a replay of payments: in no log, artifact, score or temporary file."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    days = ("--from", DAY.isoformat(), "--to", DAY.isoformat())
    home.tessera("events", "replay", *days, "--speed", "0", TMPDIR=str(temporary))
    assert (home.folder / "events.db").stat().st_size > 100_000
    register, elsewhere = list[str](), list[str]()
    for place in places_with(home.folder, address):
        (register if place.startswith(REGISTER) else elsewhere).append(place)
    assert len(register) > 50
    assert elsewhere == []
    assert open_to_others(home.folder) == []
    for folder in (temporary, trained.folder.parent / "tmp"):
        assert places_with(folder, address) == []
        assert [path for path in open_to_others(folder) if path != folder] == []
