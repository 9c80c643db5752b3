"""The notifier port: messages to people when something needs their attention."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal

from resources.health import Health

#: How urgent a notice is: for the record; look at it today; look at it now.
Level = Literal["info", "warning", "error"]
#: Key of a notice's context: its id in the outbox, by which a receiver finds repeats (a process died in between).
NOTICE = "notice"
#: Key of a notice's context: person or team that acts.
OWNER = "owner"


class Notifier(ABC):
    """Delivers short notices to people. Losing one must never stop a run: the caller decides what an error means.

    A notifier that keeps what it delivered is an `ErasableNotifier`; what others delivered is out of reach.
    """

    @abstractmethod
    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        """Delivers one notice.

        Args:
            level: how urgent it is.
            subject: one line.
            body: what happened and what to do, plain text.
            context: what identifies it: app, day, run id, links.

        Raises:
            TesseraError: it could not be delivered.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if notices can be delivered right now; sends none."""


class ErasableNotifier(Notifier):
    """A notifier that keeps its notices and can remove those about one person."""

    @abstractmethod
    def forget(self, is_named: Callable[[str], bool]) -> int:
        """Return number of notices removed: those that have a value in their context for which `is_named` says yes.

        Raises:
            TesseraError: the notices cannot be written.
        """
