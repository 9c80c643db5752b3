"""Failures of calls to models."""

from models.errors import TesseraError


class CallFailed(TesseraError):
    """A call failed; another try may help or not.

    Args:
        what: what went wrong.
        is_temporary: another try may help.
        retry_after_seconds: pause that the other side asks for.
        may_be_paid: the other side may have answered, and charge for it: its answer did not come in time.
    """

    def __init__(
        self,
        what: str,
        *,
        is_temporary: bool,
        retry_after_seconds: float | None = None,
        may_be_paid: bool = False,
    ) -> None:
        super().__init__(
            what,
            expected="an answer of the model in time",
            todo="Try again later, or look at the service." if is_temporary else "Correct the settings of the model.",
        )
        self.is_temporary, self.retry_after_seconds = is_temporary, retry_after_seconds
        self.may_be_paid = may_be_paid


class CallRefused(TesseraError):
    """A call was not made: it would have gone over the budget."""


class InvalidAnswer(TesseraError):
    """A model gave an answer that does not fit the schema, twice."""
