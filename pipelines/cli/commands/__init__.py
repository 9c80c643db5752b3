"""Every command, its arguments and its help text. The module that it calls does the work."""

from pipelines.cli.commands import access, evaluations, jobs, operations, publications, streams, tables, versions
from pipelines.cli.commands.root import app

__all__ = ["access", "app", "evaluations", "jobs", "operations", "publications", "streams", "tables", "versions"]
