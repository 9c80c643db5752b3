"""Names of labels as texts: with few texts of a label, its name is one more."""

import re
from collections.abc import Sequence

#: Of more texts a label, on average, the name adds nothing that is worth a second validation.
MOST_TEXTS = 50
#: Letters of a name, at least, and share of the labels that have such a name; else labels are codes.
_LETTERS, _NAMED_SHARE = 3, 0.9


def label_text(label: str) -> str:
    """Return the name of a label as a person would write it: `card_arrival` and `cardArrival` are "card arrival"."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_]+", " ", label).lower().split())


def names_may_help(labels: Sequence[str]) -> bool:
    """Return True if the labels of these rows have few texts each, and names in letters that all differ."""
    names = set(labels)
    texts = {label_text(label) for label in names}
    if len(texts) < len(names) or len(labels) > MOST_TEXTS * len(names):
        return False
    words = sum(sum(letter.isalpha() for letter in text) >= _LETTERS for text in texts)
    return words >= _NAMED_SHARE * len(names)
