"""The name that was probably meant, for messages about one that is not there."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The most similar of `words`, or None where none is similar.

    >>> nearest("Petal.Lenght", ["Petal.Length", "Petal.Width"])
    'Petal.Length'
    """
    from difflib import get_close_matches  # Only mistakes need it.

    found = get_close_matches(word, list(words), n=1, cutoff=0.5)
    return found[0] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """What to put behind the word in a message; nothing where no other is similar.

    >>> did_you_mean("Petal.Lenght", ["Petal.Length", "Petal.Width"])
    " (did you mean 'Petal.Length'?)"
    """
    near = nearest(word, words)
    return f" (did you mean {near!r}?)" if near else ""
