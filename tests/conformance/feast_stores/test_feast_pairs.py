"""Every offline store with every online store: what is served is what a training row of this moment would get."""

# Feast is only partly typed.
# pyright: basic

from pathlib import Path

import pytest

from resources.conformance.feast_behaviours import OFFLINE_STORES, ONLINE_STORES
from tests.conformance.feast_stores.rows import DAY, HOUR, T, asked, features, values
from tests.conformance.feast_stores.stores import Repo, Servers, quiet

pytestmark = [pytest.mark.xdist_group("feast_stores"), pytest.mark.slow]


@pytest.mark.parametrize("online", ONLINE_STORES)
@pytest.mark.parametrize("offline", OFFLINE_STORES)
def test_served_values_are_those_of_a_join_at_this_moment(
    offline: str, online: str, servers: Servers, tmp_path: Path
) -> None:
    names = [f"c{number}" for number in range(50)]
    rows = [
        (name, T - (number + step) % 7 * HOUR, T - step * HOUR, None if (number + step) % 5 == 0 else number + step / 8)
        for number, name in enumerate(names)
        for step in range(8)
    ]
    with Repo(tmp_path, servers, offline, online) as repo:
        view = repo.view(features(*rows))
        repo.materialize(view, T - DAY, T - 4 * HOUR)
        repo.materialize(view, T - 4 * HOUR, T)
        with quiet():
            joined = values(repo.historical(asked(*((name, T) for name in [*names, "nobody"])), view).to_arrow())
        assert repo.online(view, [*names, "nobody"]).values["x"] == joined
        assert joined[-1] is None
        assert len(set(joined)) > len(names) / 2
