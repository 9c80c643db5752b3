"""The declarations: complete, of known stores, and true only as long as they fail."""

import inspect
from types import ModuleType

import pytest

from resources.conformance.feast_behaviours import OFFLINE, OFFLINE_STORES, ONLINE, ONLINE_STORES, Gap
from tests.conformance.feast_stores import test_feast_offline, test_feast_online
from tests.conformance.feast_stores.conftest import must_fail

pytestmark = [pytest.mark.xdist_group("feast_stores"), pytest.mark.slow]


def behaviours_of(module: ModuleType) -> set[str]:
    classes = [one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__]
    names = [name for one in classes for name in vars(one)]
    return {name.removeprefix("test_") for name in names if name.startswith("test_")}


def test_every_behaviour_has_a_test_and_every_test_a_behaviour() -> None:
    assert behaviours_of(test_feast_offline) == set(OFFLINE)
    assert behaviours_of(test_feast_online) == set(ONLINE)


def test_gaps_are_of_stores_under_test() -> None:
    for behaviours, stores in ((OFFLINE, OFFLINE_STORES), (ONLINE, ONLINE_STORES)):
        for behaviour in behaviours.values():
            assert set(behaviour.gaps) <= set(stores)


def test_a_declared_gap_that_is_none_any_more_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="Take the gap out"), must_fail(Gap("overwrites"), "here"):
        pass


def test_a_declared_gap_that_fails_otherwise_fails() -> None:
    with pytest.raises(KeyError, match="port") as raised, must_fail(Gap("overwrites"), "here"):
        raise KeyError("port")
    assert "here says that this fails, but with '^AssertionError'" in raised.value.__notes__[0]


def test_a_declared_gap_is_an_expected_failure() -> None:
    with pytest.raises(pytest.xfail.Exception, match="overwrites"), must_fail(Gap("overwrites"), "here"):
        raise AssertionError("3.0 != 1.0")
