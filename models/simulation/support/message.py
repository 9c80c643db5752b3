"""The text of a ticket: independently chosen parts in the order in which people write them, misspelt as people do."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.simulation.catalogue import CATEGORIES
from models.simulation.support.intents import GROUPS, INTENTS
from models.simulation.support.tickets import Ticket
from models.simulation.support.wordings import Draws, Wordings, filled, wordings

#: Added to a ticket's key: the text draws other numbers than the facts.
_TEXT = 0x5DEECE66D
_CITIES = ("Berlin", "Lyon", "Leeds", "Hamburg", "Nantes", "Bristol", "Graz", "Lille", "Zaragoza", "Utrecht", "Gdansk")
_FIRST = ("Anna", "Paul", "Marie", "Tom", "Lena", "Hugo", "Emma", "Jonas", "Chloé", "Oliver", "Sofia", "Jürgen", "Zoë")
_LAST = (
    "Schmidt",
    "Martin",
    "Smith",
    "Meyer",
    "Dubois",
    "Taylor",
    "Weber",
    "Leroy",
    "Brown",
    "Nowak",
    "García",
    "Bauer",
)
_CODES = ("SAVE", "HELLO", "SUMMER", "WELCOME", "BONUS")
_SIZES = ("S", "M", "L", "XL", "38", "42", "140x200", "90x200")
#: Words as they are typed in haste, by language; each is replaced by chance.
_SHORT: dict[str, Mapping[str, str]] = {
    "en": {"please": "pls", "thanks": "thx", "you": "u", "because": "bc", "are": "r", "and": "&", "days": "d"},
    "de": {"und": "u.", "bitte": "bt", "vielleicht": "vllt", "nicht": "nich", "ich": "i", "mit": "m.", "Tagen": "Tg."},
    "fr": {"bonjour": "bjr", "vous": "vs", "plus": "+", "pas": "pa", "est": "é", "jours": "j", "pour": "pr"},
}
_PLAIN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "ê": "e", "à": "a", "ç": "c", "ô": "o", "í": "i"}
)
_WORD = re.compile(r"[^\W\d_]{4,}")
#: Values that are never misspelt here: what they name has to be found again.
_EXACT = re.compile(r"\S*[@\d]\S*")


@dataclass(frozen=True)
class Facts:
    """Values of the shop that a text may name.

    Attributes:
        category: place in `CATEGORIES` of the product that it is about.
        order_id: of its order; None without.
        first_day: of the shop's records, a day number: wordings come into use after it.
    """

    category: int
    order_id: str | None
    first_day: int


def message(ticket: Ticket, facts: Facts) -> str:
    """Return the text of a ticket, of one line or several."""
    draws, known = Draws(ticket.key ^ _TEXT), wordings(ticket.language)
    values = _values(ticket, facts, draws, known)
    lines = [*_head(ticket, draws, known), _body(ticket, facts, draws, known), *_tail(ticket, draws, known)]
    text = filled("\n".join(line for line in lines if line), values)
    return _typed(text, ticket.language, draws)


def _head(ticket: Ticket, draws: Draws, known: Wordings) -> list[str]:
    is_chat = ticket.channel == "chat"
    greeting = known.line("greeting", draws) if draws.happens(0.45 if is_chat else 0.85) else ""
    opener = known.line("opener", draws) if draws.happens(0.15 if is_chat else 0.4) else ""
    return [greeting, opener]


def _body(ticket: Ticket, facts: Facts, draws: Draws, known: Wordings) -> str:
    """Return what the ticket is about, among sentences that say nothing about it."""
    day = ticket.day - facts.first_day
    if ticket.second_intent >= 0:
        cores = [known.line(f"={INTENTS[place].name}", draws, day) for place in (ticket.main, ticket.second_intent)]
        first, second = cores if ticket.main_first else reversed(cores)
        parts = [first, f"{known.line('also', draws)} {second}"]
    else:
        section = f"={ticket.intent}" if ticket.group < 0 else f"?{GROUPS[ticket.group]}"
        parts = [known.line(section, draws, day)]
    for chance in (0.5, 0.25) if ticket.channel != "chat" else (0.2,):
        if draws.happens(chance):
            parts.insert(draws.below(len(parts) + 1), known.line("filler", draws))
    if facts.order_id is not None and draws.happens(0.4):
        parts.insert(draws.below(len(parts) + 1), known.line("order", draws))
    if ticket.wording:
        parts.append(known.line("mild" if ticket.wording == 1 else "strong", draws))
    return " ".join(parts)


def _tail(ticket: Ticket, draws: Draws, known: Wordings) -> list[str]:
    is_chat = ticket.channel == "chat"
    contact = known.line("contact", draws) if draws.happens(0.05 if is_chat else 0.25) else ""
    if not draws.happens(0.2 if is_chat else 0.8):
        return [contact]
    name = "{name}" if draws.happens(0.75) else ""
    return [contact, known.line("closing", draws), name]


def _values(ticket: Ticket, facts: Facts, draws: Draws, known: Wordings) -> dict[str, str]:
    first, last = _one(_FIRST, draws), _one(_LAST, draws)
    amount = ticket.order.amount if ticket.order else 5 + draws.below(12_000) / 100
    phone = f"+{_one(('44 20 7946', '49 30 901820', '33 1 40205'), draws)} {100 + draws.below(900)}"
    values = {
        "name": first if draws.happens(0.3) else f"{first} {last}",
        "email": f"{first}.{last}{draws.below(90)}@example.org".lower().translate(_PLAIN),
        "phone": phone,
        "card": _card(draws),
        "city": _one(_CITIES, draws),
        "days": str(ticket.days_waited if ticket.days_waited > 1 else 2 + draws.below(12)),
        "amount": f"{amount:.2f} EUR" if draws.happens(0.6) else f"{amount:.2f} €",
        "code": f"{_one(_CODES, draws)}{(5, 10, 15, 20)[draws.below(4)]}",
        "size": _one(_SIZES, draws),
        "order": facts.order_id or "",
    }
    values["product"] = known.line(f"product:{CATEGORIES[facts.category]}", draws)
    values["device"] = known.line("device", draws)
    return values


def _one(options: tuple[str, ...], draws: Draws) -> str:
    return options[draws.below(len(options))]


def _card(draws: Draws) -> str:
    """Return a number that looks like a card's and has its check digit; no bank has issued the range 4000 00."""
    digits = [4, 0, 0, 0, 0, 0, *(draws.below(10) for _ in range(9))]
    doubled = [digit * 2 if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    digits.append(-sum(number - 9 * (number > 9) for number in doubled) % 10)
    text = "".join(map(str, digits))
    return " ".join(text[at : at + 4] for at in range(0, 16, 4)) if draws.happens(0.5) else text


def _typed(text: str, language: str, draws: Draws) -> str:
    """Return the text as somebody typed it: in haste or with care, which differs from one to the other."""
    if draws.happens(0.25):
        text = _outside_exact(text, str.lower)
    if language != "en" and draws.happens(0.25):
        text = text.translate(_PLAIN)
    if draws.happens(0.3):
        short = _SHORT[language]
        text = re.sub(r"[^\W\d_]+", lambda m: short.get(m[0], m[0]) if draws.happens(0.5) else m[0], text)
    rate = (0.0, 0.02, 0.08)[0 if draws.happens(0.45) else 1 if draws.happens(0.65) else 2]
    if rate:
        text = _outside_exact(
            text, lambda part: _WORD.sub(lambda m: _slip(m[0], draws) if draws.happens(rate) else m[0], part)
        )
    return text


def _outside_exact(text: str, change: Callable[[str], str]) -> str:
    """Return the text with the parts changed that are no number, code or address."""
    found: list[str] = []
    end = 0
    for match in _EXACT.finditer(text):
        found += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*found, change(text[end:])])


def _slip(word: str, draws: Draws) -> str:
    """Return the word with one slip of the keys, not in its first letter."""
    at = 1 + draws.below(len(word) - 2)
    kind = draws.below(4)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + chr(ord("a") + draws.below(26)) + word[at + 1 :]
