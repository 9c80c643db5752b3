"""The end of a step whose blocking check failed, in a sentence."""

from collections.abc import Iterator

import dagster as dg

from models.errors import TesseraError


def or_stop(
    result: dg.MaterializeResult, asset: str, check: str, *, expected: str, todo: str
) -> Iterator[dg.MaterializeResult]:
    """Yield the result, and end the step if its check `check` failed.

    Dagster would end it, too, but names neither the numbers nor a way out. Arguments and errors are those of
    `stop_if_failed`.
    """
    yield result
    stop_if_failed(result, asset, check, expected=expected, todo=todo)


def stop_if_failed(result: dg.MaterializeResult, asset: str, check: str, *, expected: str, todo: str) -> None:
    """End the step if its check `check` failed with an error; one that warns ends nothing.

    Args:
        result: of the asset, with the results of its checks.
        asset: key of the asset, e.g. `shop/orders`.
        check: name of the blocking check.
        expected: limit that the check keeps.
        todo: way to look at it, and setting or command that lets the run go on.

    Raises:
        TesseraError: the check failed; its description is part of the message.
    """
    for found in result.check_results or ():
        is_error = found.severity == dg.AssetCheckSeverity.ERROR
        if found.check_name == check and is_error and not found.passed:
            raise TesseraError(
                f"The check {check} of {asset} stopped the run: {str(found.description).rstrip('.')}.",
                expected=expected,
                todo=todo,
            )
