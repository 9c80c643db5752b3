"""An IO manager that refuses every value: assets meet in the lake, the sink and the registry, never in a pickle."""

from typing import Any, NoReturn

import dagster as dg
from typing_extensions import override

from models.errors import TesseraError


class NoValues(dg.IOManager):
    """Dagster's default manager pickles values into its own folder, which other machines do not see."""

    @override
    def handle_output(self, context: dg.OutputContext, obj: Any) -> NoReturn:
        raise _refused(context.get_identifier())

    @override
    def load_input(self, context: dg.InputContext) -> NoReturn:
        raise _refused(context.get_identifier())


@dg.io_manager(description="Refuses every value that an asset would pass to another one.")
def no_values() -> NoValues:
    """Return the manager of all assets of the project."""
    return NoValues()


def _refused(identifier: Any) -> TesseraError:
    return TesseraError(
        f"The step {'/'.join(map(str, identifier))!r} passes a value to another step.",
        expected="assets that write to a port (lake, sink, registry) and return a MaterializeResult without a value",
        todo="Store what the next asset needs behind a port, and read it there.",
    )
