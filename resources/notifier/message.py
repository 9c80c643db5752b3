"""The text of a notice: what happened, what is published instead, the command to run, the page that explains it."""

#: Page that says of each check and kind of notice what it means and what to do, relative to the project's folder.
RUNBOOK = "docs/runbook.md"


def message(happened: str, *, published: str = "", command: str = "", section: str = "") -> str:
    """Return the body of a notice, a line each.

    Args:
        happened: what was found, in sentences.
        published: what users get meanwhile, in a sentence.
        command: that repairs it or shows more, with what it is good for.
        section: heading of the runbook's section.
    """
    lines = (happened, published, f"Run: {command}" if command else "", f"Runbook: {page(section)}" if section else "")
    return "\n".join(line for line in lines if line)


def page(section: str) -> str:
    """Return the address of a section of the runbook."""
    return f"{RUNBOOK}#{section.lower().replace(' ', '-')}"
