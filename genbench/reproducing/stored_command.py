"""What the command on a record says beyond its fields: where files lay."""

from __future__ import annotations

from collections.abc import Sequence

_BARE = {"--ci", "--reuse", "--json", "--compile", "--train", "--strict"}


class StoredCommand:
    """The words of a recorded `genbench fid`; of any other program they say nothing.

    A file is where it was when the figure was measured, seen from the folder of then.
    """

    def __init__(self, words: Sequence[str]) -> None:
        verbs = [at for at, word in enumerate(words[:4]) if word in ("fid", "sweep", "throughput")]
        self.known = bool(verbs)
        self._options: dict[str, str] = {}
        self._images: list[str] = []
        left = list(words[verbs[0] + 1 :]) if verbs else []
        while left:
            name, has_value, value = left.pop(0).partition("=")
            if not name.startswith("-"):
                self._images.append(name + has_value + value)
            elif has_value:
                self._options[name] = value
            elif name not in _BARE and left and not _is_option(left[0]):
                self._options[name] = left.pop(0)

    def value(self, option: str) -> str:
        """What followed an option; empty where it was not given. `fid A B` names samples and
        reference without their options."""
        at = {"--samples": 0, "--ref": 1}.get(option, len(self._images))
        loose = self._images if "--model" not in self._options and "-m" not in self._options else []
        return self._options.get(option, "") or (loose[at] if at < len(loose) else "")


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit()
