"""Servers, the second process, and the rule that a declared gap must fail as declared."""

import re
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from resources.conformance.feast_behaviours import OFFLINE, ONLINE, Gap
from tests.conformance.feast_stores.other_process import OtherProcess, started
from tests.conformance.feast_stores.stores import Servers
from tests.servers.postgres_server import PostgresDatabase


@pytest.fixture(scope="session")
def servers(redis_url: str, postgres_server: PostgresDatabase) -> Servers:
    """A Redis and a database; repositories differ by their project's name."""
    name = f"conformance_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return Servers(redis_url, replace(postgres_server, database=name))


@pytest.fixture(scope="session")
def other_process() -> Iterator[OtherProcess]:
    """A second process on the same stores, in another time zone."""
    with started() as process:
        yield process


@contextmanager
def must_fail(gap: Gap) -> Iterator[None]:
    """The block must fail as the gap says: it ends as an expected failure, or as a real one."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if re.search(gap.fails_with, f"{type(error).__name__}: {error}"):
            pytest.xfail(gap.reason)
        raise
    pytest.fail(f"This works now, although it is declared: {gap.reason!r}. Take the gap out of behaviours.py.")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Runs the tests of declared gaps inside `must_fail`."""
    gap = _declared(pyfuncitem)
    if gap is None:
        return (yield)
    with must_fail(gap):
        yield
    return True


def _declared(test: Any) -> Gap | None:
    kinds = {"test_feast_offline": OFFLINE, "test_feast_online": ONLINE}
    behaviours = kinds.get(test.module.__name__.rpartition(".")[2])
    if behaviours is None:
        return None
    behaviour = behaviours[test.originalname.removeprefix("test_")]
    return behaviour.gaps.get(test.callspec.params["repo"])
