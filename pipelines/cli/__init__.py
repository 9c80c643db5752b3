"""The command line `tessera`: launch, look at, publish and repair what the pipelines make."""

import sys


def main() -> None:
    """Runs one command; a user's mistake ends as three short lines and exit code 2, never as a traceback."""
    from models.errors import TesseraError
    from pipelines.cli.app import app
    from pipelines.cli.console import complain

    try:
        app()
    except TesseraError as error:
        complain(error)
        sys.exit(2)
