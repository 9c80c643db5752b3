"""The end of a step whose blocking check failed, in a sentence."""

from collections.abc import Iterator

import dagster as dg

from models.errors import TesseraError


def or_stop(
    result: dg.MaterializeResult, asset: str, check: str, *, expected: str, todo: str
) -> Iterator[dg.MaterializeResult]:
    """Yield the result, and end the step if its check `check` failed.

    Dagster would end it, too, but names neither the numbers nor a way out.

    Args:
        result: of the asset, with the results of its checks.
        asset: key of the asset, e.g. `shop/orders`.
        check: name of the blocking check.
        expected: limit that the check keeps.
        todo: way to look at it, and setting or command that lets the run go on.

    Raises:
        TesseraError: the check failed; its description is part of the message.
    """
    yield result
    for found in result.check_results or ():
        if found.check_name == check and not found.passed:
            raise TesseraError(
                f"The check {check} of {asset} stopped the run: {str(found.description).rstrip('.')}.",
                expected=expected,
                todo=todo,
            )
