"""The base of the conformance classes, and the check that a declared gap fails in the declared way."""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar, cast

import dagster as dg
import pytest

from resources.conformance.capabilities import CAPABILITIES, Gap, gaps_of

F = TypeVar("F", bound=Callable[..., None])


class Conformance:
    """The tests of one port. A harness is a subclass named `Test...` that sets `config` and overrides fixtures.

    Attributes:
        port: the port's name in stack.yaml.
        config: the adapter's config class; what its class variable `gaps` names must fail as declared.
    """

    port: ClassVar[str]
    config: ClassVar[type[dg.Config]]

    def test_declared_gaps_are_capabilities_of_the_port(self) -> None:
        """A misspelt gap would excuse nothing."""
        assert gaps_of(self.config).keys() <= CAPABILITIES.get(self.port, {}).keys()


def needs(capability: str) -> Callable[[F], F]:
    """Mark a test of something that only some adapters can do."""

    def marked(test: F) -> F:
        @functools.wraps(test)
        def run(self: Conformance, *args: Any, **fixtures: Any) -> None:
            gap = gaps_of(self.config).get(capability)
            if gap is None:
                return test(self, *args, **fixtures)
            with must_fail(gap, f"`gaps` of {self.config.__name__}"):
                test(self, *args, **fixtures)
            return None

        return cast(F, run)

    return marked


@contextmanager
def must_fail(gap: Gap, declared_in: str) -> Iterator[None]:
    """The block must fail as the gap says: it ends as an expected failure, or as a real one."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        if re.search(gap.fails_with, f"{type(error).__name__}: {error}"):
            pytest.xfail(gap.reason)
        error.add_note(
            f"{declared_in} says that this fails, but with {gap.fails_with!r} in `<exception>: <message>`. Mend the "
            f"adapter, or name this failure: Gap({gap.reason!r}, fails_with=...)."
        )
        raise
    pytest.fail(f"This works now, although it is declared: {gap.reason!r}. Take the gap out of {declared_in}.")
