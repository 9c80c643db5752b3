"""`tessera check` names the part that fails, however it fails."""

from collections.abc import Callable

import pytest

from models.errors import TesseraError
from pipelines.cli import check as checking
from resources.health import Health


def refuses() -> Health:
    raise TesseraError("No such server.", expected="one", todo="Start it.")


def breaks() -> Health:
    raise FileNotFoundError(2, "No such file or directory", "/mnt/export")


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (lambda: Health(True, "3 tables"), Health(True, "3 tables")),
        (refuses, Health(False, "No such server.", "Start it.")),
        (
            breaks,
            Health(
                False,
                "FileNotFoundError: [Errno 2] No such file or directory: '/mnt/export'",
                "Correct this part's settings, or the place that they name.",
            ),
        ),
    ],
)
def test_the_answer_of_a_part_is_its_health_whatever_it_raises(question: Callable[[], Health], says: Health) -> None:
    assert checking._asked(question) == says  # pyright: ignore[reportPrivateUsage]
