"""Small labelled texts whose labels a model can learn from their words."""

import random

from models.text.intent_evaluation import LabelledTexts

_WORDS = {
    "refund": ["refund", "money", "back", "charge", "twice", "return", "pay", "wrong", "amount"],
    "delivery": ["parcel", "courier", "late", "tracking", "arrive", "package", "delivery", "lost"],
    "login": ["password", "account", "sign", "locked", "reset", "email", "code", "login"],
    "cancel": ["cancel", "subscription", "stop", "plan", "end", "contract", "renew", "membership"],
}
_FILLERS = ["please", "my", "the", "is", "can", "you", "I", "why", "how", "still", "today"]
#: Texts of none of the labels.
OUT_OF_SCOPE_TEXTS = [
    f"{first} {second} {third}"
    for first in ("sing", "paint", "boil", "climb")
    for second in ("a blue song", "some eggs", "that mountain", "soft jazz")
    for third in ("quickly", "in Norway")
]


def tickets(each: int, *, seed: int) -> LabelledTexts:
    """Return `each` texts of each of four labels."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    rows = [
        (" ".join([*draw.sample(words, 3), *draw.sample(_FILLERS, 3)]), label)
        for label, words in _WORDS.items()
        for _ in range(each)
    ]
    return LabelledTexts([text for text, _ in rows], [label for _, label in rows])
