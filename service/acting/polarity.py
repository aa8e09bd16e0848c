"""Yes and no in the language of a prompt."""

from __future__ import annotations

from functools import cache

_WORDS = {
    "ar": ("نعم", "لا"),
    "cs": ("Ano", "Ne"),
    "da": ("Ja", "Nej"),
    "de": ("Ja", "Nein"),
    "el": ("Ναι", "Όχι"),
    "en": ("Yes", "No"),
    "es": ("Sí", "No"),
    "fi": ("Kyllä", "Ei"),
    "fr": ("Oui", "Non"),
    "he": ("כן", "לא"),
    "hi": ("हाँ", "नहीं"),
    "hu": ("Igen", "Nem"),
    "id": ("Ya", "Tidak"),
    "it": ("Sì", "No"),
    "ja": ("はい", "いいえ"),
    "ko": ("네", "아니요"),
    "nl": ("Ja", "Nee"),
    "no": ("Ja", "Nei"),
    "pl": ("Tak", "Nie"),
    "pt": ("Sim", "Não"),
    "ro": ("Da", "Nu"),
    "ru": ("Да", "Нет"),
    "sv": ("Ja", "Nej"),
    "tr": ("Evet", "Hayır"),
    "uk": ("Так", "Ні"),
    "vi": ("Có", "Không"),
    "zh": ("是", "不是"),
}


def polarity_word(text: str, confirms: bool) -> str:
    """``Yes`` or ``No``, in the language that the text is in, of those that there are words for.

    >>> polarity_word("Ist die Frist zwei Wochen?", confirms=False)
    'Nein'
    """
    yes, no = _WORDS[_language(text)]
    return yes if confirms else no


def _language(text: str) -> str:
    """Its code; English where there is nothing to tell it by."""
    if not any(character.isalpha() for character in text):
        return "en"
    classify = _classifier()
    return str(classify(text)[0])


@cache
def _classifier():  # type: ignore[no-untyped-def]
    """Loaded when it is first needed: it takes a moment."""
    import py3langid

    py3langid.set_languages(sorted(_WORDS))
    return py3langid.classify
