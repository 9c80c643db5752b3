"""The command line `tessera`: launch, look at, publish and repair what the pipelines make."""

import sys


def main() -> None:
    """Run one command. Whatever ends it, end it in a few plain lines and a conventional exit code."""
    from pipelines.cli.ending import ended, open_standard_streams
    from pipelines.garbage import collect_rarely
    from resources import masking
    from resources.privacy import create_privately

    collect_rarely()
    masking.install()
    create_privately()
    open_standard_streams()  # before anything opens a file, and before a console asks how wide they are
    from pipelines.cli.commands import app

    sys.exit(ended(app))
