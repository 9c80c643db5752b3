"""Sentiment of a text by a list of words: no weights, no training. English, German and French."""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
#: Words of a clause after a negation whose sense is turned.
_REACH = 3
_SHOUTED = 1.3

_HAPPY = """
thank thanks great good perfect excellent love lovely amazing happy helpful pleased wonderful fantastic awesome
nice best satisfied glad appreciate works fast friendly recommend fine delicious enjoyed
danke dank gut super toll perfekt prima zufrieden freundlich schnell klasse hervorragend gerne freue bestens
merci bien bon bonne parfait excellent content contente super genial ravi ravie satisfait satisfaite rapide aimable
"""
#: What went wrong (late, broken, lost) is a fact, and most tickets say one: these words say how the customer feels.
_UNHAPPY = """
bad worst terrible awful horrible angry furious annoyed annoying disappointed disappointing disappointment useless
hate poor unacceptable ridiculous scam fraud disgusting waste frustrated frustrating rude unhappy upset cheated joke
nightmare sucks outrageous shame
schlecht schlimm furchtbar schrecklich wütend sauer verärgert enttäuscht unverschämt frechheit unzumutbar betrug
ärgerlich skandal katastrophe miserabel unfreundlich beschwerde
mauvais mauvaise terrible horrible furieux furieuse colère déçu déçue nul nulle inutile inacceptable honteux scandale
arnaque catastrophe
"""
_NEGATIONS = {
    *("not", "no", "never", "without", "don't", "doesn't", "didn't", "isn't", "wasn't", "won't", "can't", "cannot"),
    *("nicht", "kein", "keine", "keinen", "nie", "ohne", "pas", "jamais", "sans", "aucun", "aucune"),
}


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return "".join(one for one in plain if not unicodedata.combining(one))


_SENSES = {_folded(word): 1.0 for word in _HAPPY.split()} | {_folded(word): -1.0 for word in _UNHAPPY.split()}


def sentiment(text: str) -> float:
    """Return -1 (unhappy) to 1 (happy); 0 of a text without a word on the list."""
    happy = unhappy = 0.0
    negated = 0
    for word in _WORD.findall(text.replace("’", "'")):
        plain = _folded(word)
        sense = _SENSES.get(plain, 0.0)
        if sense:
            weight = _SHOUTED if word.isupper() and len(word) > 2 else 1.0
            turned = -sense if negated else sense
            happy, unhappy = happy + weight * (turned > 0), unhappy + weight * (turned < 0)
        negated = _REACH if plain in _NEGATIONS else max(0, negated - 1)
    return (happy - unhappy) / (happy + unhappy + 1)
