"""Words of an intent, for the search: characteristic, of several tickets, of each language, and of no single person."""

from models.support.search_words import MOST, search_words, searched_for

TEXTS = [
    *(f"my router drops the wifi connection again {n}" for n in range(5)),
    *(f"please send the refund for my order {n}" for n in range(5)),
    *(f"mein router verliert die verbindung {n}" for n in range(4)),
    *(f"tell me a joke please {n}" for n in range(5)),
    "my router drops the connection, regards Anna Schmidt",
]
INTENTS = ["connection"] * 5 + ["refund"] * 5 + ["connection"] * 4 + ["oos"] * 5 + ["connection"]
LANGUAGES = ["en"] * 10 + ["de"] * 4 + ["en"] * 6


def test_words_of_one_intent_come_before_those_of_all() -> None:
    found = search_words(TEXTS, INTENTS, LANGUAGES)
    assert found.keys() == {"connection", "refund"}, "nothing is searched for what belongs to no intent"
    words = found["connection"].split()
    german, english = words[:-MOST], words[-MOST:]
    assert {"router", "drops", "wifi", "connection"} <= set(english)
    assert {"router", "verliert", "verbindung"} <= set(german)
    assert "my" not in english, "it is shorter than three letters"
    assert found["refund"].split()[0] in {"refund", "order", "send", "for"}


def test_a_name_in_one_ticket_is_no_word_of_an_intent() -> None:
    assert "schmidt" not in " ".join(search_words(TEXTS, INTENTS, LANGUAGES).values())


def test_the_order_of_the_tickets_does_not_matter() -> None:
    rows = list(zip(TEXTS, INTENTS, LANGUAGES, strict=True))
    texts, intents, languages = zip(*reversed(rows), strict=True)
    assert search_words(texts, intents, languages) == search_words(TEXTS, INTENTS, LANGUAGES)


def test_a_ticket_of_an_unknown_intent_is_searched_as_it_is() -> None:
    assert searched_for("My router", "oos", {"connection": "wifi"}) == "My router"
    assert searched_for("My router", "connection", {"connection": "wifi"}) == "My router wifi"
