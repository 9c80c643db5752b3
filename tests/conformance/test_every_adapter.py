"""Every adapter that ships is under the conformance tests of its port, and declared gaps fail as declared."""

import importlib
import sys
from collections.abc import Iterator
from typing import ClassVar, Literal

import dagster as dg
import pytest

from models.errors import TesseraError
from pipelines.docs.adapters import adapters_page
from resources import conformance
from resources.conformance.capabilities import CAPABILITIES, Gap
from resources.conformance.suite import Conformance, needs
from resources.stack.adapters import adapter_class
from resources.stack.table import KINDS


def harnesses(kind: type[Conformance] = Conformance) -> Iterator[type[Conformance]]:
    for harness in kind.__subclasses__():
        yield harness
        yield from harnesses(harness)


@pytest.mark.parametrize(("port", "kind"), [(port, kind) for port, kinds in KINDS.items() for kind in kinds])
def test_every_adapter_has_a_harness(port: str, kind: str) -> None:
    config = adapter_class(port, kind)
    importlib.import_module(f"test_{port}")
    assert config in [getattr(harness, "config", None) for harness in harnesses() if harness.port == port]


class CanLess(dg.Config):
    """An adapter's config that declares a gap."""

    gaps: ClassVar = {"erasable": Gap("cannot", "^ValueError: no")}

    kind: Literal["less"] = "less"


class Harness(Conformance):
    port = "notifier"
    config = CanLess

    @needs("erasable")
    def test_erases(self, error: Exception | None) -> None:
        if error:
            raise error


class TestDeclaredGaps:
    def test_a_gap_that_fails_as_declared_is_an_expected_failure(self) -> None:
        with pytest.raises(pytest.xfail.Exception, match="cannot"):
            Harness().test_erases(ValueError("no way"))

    def test_a_gap_that_fails_otherwise_is_a_failure(self) -> None:
        with pytest.raises(KeyError):
            Harness().test_erases(KeyError("x"))

    def test_a_gap_that_works_must_be_taken_out(self) -> None:
        with pytest.raises(pytest.fail.Exception, match="Take the gap out of `gaps` of CanLess"):
            Harness().test_erases(None)

    def test_a_misspelt_gap_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Harness().test_declared_gaps_are_capabilities_of_the_port()
        monkeypatch.setattr(CanLess, "gaps", {"eraseable": Gap("cannot")})
        with pytest.raises(AssertionError):
            Harness().test_declared_gaps_are_capabilities_of_the_port()


def test_the_page_shows_capabilities_and_numbers_gaps() -> None:
    page = adapters_page({"notifier": KINDS["notifier"]})
    assert f"| `erasable`: {CAPABILITIES['notifier']['erasable']} | ✓ | 1 |" in page
    assert "1. What was delivered to a receiver is out of reach." in page


@pytest.mark.parametrize("package", ["pytest", "hypothesis"])
def test_without_its_packages_the_classes_say_what_to_install(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "resources.conformance.events", raising=False)
    with pytest.raises(TesseraError, match=f"{package} is not installed") as caught:
        _ = conformance.EventsConformance
    assert "test" in caught.value.todo
