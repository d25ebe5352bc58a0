"""Korean particles, whose form depends on whether the sound before them ends in a consonant.

A template writes both forms, the one after a consonant first: `{agent:은/는}`. Labels are the users' own, in any
script: Hangul and digits are known exactly, Latin words by their last letters, and what stays open gets both forms, as
in Korean print: 은(는).
"""

import re
from typing import Literal

_Ending = Literal["consonant", "ㄹ", "vowel", "unknown"]
_HANGUL_FIRST, _HANGUL_LAST, _FINALS, _RIEUL = "가", "힣", 28, 8
# 영 일 이 삼 사 오 육 칠 팔 구
_DIGITS: dict[str, _Ending] = {
    "0": "consonant", "1": "ㄹ", "2": "vowel", "3": "consonant", "4": "vowel",
    "5": "vowel", "6": "consonant", "7": "ㄹ", "8": "ㄹ", "9": "vowel",
}  # fmt: skip
# Names of letters (엘, 엠, 엔, 알) and words that end in them.
_LETTERS: dict[str, _Ending] = {"l": "ㄹ", "m": "consonant", "n": "consonant", "r": "ㄹ"}
# A word with one of these at its end is written with a vowel there: 그리디, 인덱스, 노이즈.
_OPEN_WORDS = "aeijoquvwxyzdfhs"
_NOT_PART_OF_WORD = re.compile(r"[^0-9A-Za-z가-힣]+$")
_LAST_WORD = re.compile(r"[A-Za-z]+$")


class WithParticle(str):
    """Text that `format` follows with the right form of a particle: `"{:은/는}".format(WithParticle("에이전트"))`."""

    def __format__(self, specification: str) -> str:
        after_consonant, slash, after_vowel = specification.partition("/")
        if not slash:
            return str(self) + specification
        return str(self) + _form(str(self), after_consonant, after_vowel)


def _form(text: str, after_consonant: str, after_vowel: str) -> str:
    ending = _ending(text)
    if ending == "unknown":
        return (
            f"{after_consonant}({after_vowel})" if len(after_consonant) == 1 else f"({after_consonant[0]}){after_vowel}"
        )
    # 로 follows ㄹ as it follows a vowel.
    is_open = ending == "vowel" or (ending == "ㄹ" and after_vowel.startswith("로"))
    return after_vowel if is_open else after_consonant


def _ending(text: str) -> _Ending:
    """How a text sounds at its end; brackets and quotation marks are not spoken."""
    text = text.rstrip()
    if text.endswith("%"):
        return "vowel"
    text = _NOT_PART_OF_WORD.sub("", text)
    if not text:
        return "unknown"
    last = text[-1]
    if _HANGUL_FIRST <= last <= _HANGUL_LAST:
        final = (ord(last) - ord(_HANGUL_FIRST)) % _FINALS
        return "vowel" if final == 0 else "ㄹ" if final == _RIEUL else "consonant"
    if last in _DIGITS:
        return _DIGITS[last]
    word = _LAST_WORD.findall(text)[0]
    # Abbreviations are spelt out: DQN (디큐엔).
    is_spelt = word.isupper() or len(word) == 1
    word = word.lower()
    if is_spelt:
        return _LETTERS.get(word[-1], "vowel")
    # A last e is silent, as in table (테이블), time (타임) and noise (노이즈).
    sound = word[-2] if word[-1] == "e" else word[-1]
    if word.endswith("ng") or sound in "lmn":
        return "ㄹ" if sound == "l" else "consonant"
    return "vowel" if word[-1] in _OPEN_WORDS or word.endswith(("er", "or", "ar")) else "unknown"
