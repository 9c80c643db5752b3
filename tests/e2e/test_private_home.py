"""The home after a command, with what libraries made in it."""

import stat

from shop_home import Home


def test_nothing_in_a_home_can_be_read_by_others(empty: Home) -> None:
    empty.folder.mkdir(mode=0o755)
    empty.tessera("check")
    found = [empty.folder, *empty.folder.rglob("*")]
    assert len(found) > 3
    assert [path for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []
