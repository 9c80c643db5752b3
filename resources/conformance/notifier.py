"""The tests of the notifier port."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from resources.conformance.suite import Conformance, needs
from resources.notifier.port import ErasableNotifier, Notifier


def _erasable(notifier: Notifier) -> ErasableNotifier:
    assert isinstance(notifier, ErasableNotifier)
    return notifier


class NotifierConformance(Conformance):
    """The tests that every notifier must pass. A harness overrides the fixtures `notifier` and `received`."""

    port: ClassVar = "notifier"

    @pytest.fixture
    def notifier(self) -> Notifier:
        """The notifier under test, to which nothing was given yet."""
        raise NotImplementedError("The harness overrides the fixture `notifier`.")

    @pytest.fixture
    def received(self) -> Callable[[], list[dict[str, Any]]]:
        """A function that lists the delivered notices, oldest first: `level`, `subject`, `body` and `context` each."""
        raise NotImplementedError("The harness overrides the fixture `received`.")

    def test_a_notice_arrives_whole_and_in_order(
        self, notifier: Notifier, received: Callable[[], list[dict[str, Any]]]
    ) -> None:
        notifier.notify("error", "churn: no scores", "line one\nline two – ü", {"app": "churn", "run": "7"})
        notifier.notify("info", "second", "", {})
        first, second = ({key: notice[key] for key in ("level", "subject", "body", "context")} for notice in received())
        assert first == {
            "level": "error",
            "subject": "churn: no scores",
            "body": "line one\nline two – ü",
            "context": {"app": "churn", "run": "7"},
        }
        assert second == {"level": "info", "subject": "second", "body": "", "context": {}}

    def test_check_is_healthy_and_sends_nothing(
        self, notifier: Notifier, received: Callable[[], list[dict[str, Any]]]
    ) -> None:
        assert notifier.check().ok
        assert received() == []

    @needs("erasable")
    def test_notices_that_name_an_erased_person_are_removed(
        self, notifier: Notifier, received: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self._notify_of_three(notifier)
        assert _erasable(notifier).forget(lambda value: value in ("c1", "20180725-c1")) == 2
        notifier.notify("info", "4", "", {})
        assert [notice["subject"] for notice in received()] == ["1", "3", "4"]

    @needs("erasable")
    def test_erasing_somebody_else_removes_nothing(
        self, notifier: Notifier, received: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self._notify_of_three(notifier)
        assert _erasable(notifier).forget(lambda value: value == "c2") == 0
        assert [notice["subject"] for notice in received()] == ["0", "1", "2", "3"]

    @needs("erasable")
    def test_there_may_be_nothing_to_erase(
        self, notifier: Notifier, received: Callable[[], list[dict[str, Any]]]
    ) -> None:
        assert _erasable(notifier).forget(lambda _: True) == 0
        assert received() == []

    def _notify_of_three(self, notifier: Notifier) -> None:
        for number, alert in enumerate(("20180725-c1", "20180725-c12", "c1")):
            notifier.notify("info", f"{number}", "about c1", {"app": "fraud", "alert": alert})
        notifier.notify("info", "3", "about no one", {})
