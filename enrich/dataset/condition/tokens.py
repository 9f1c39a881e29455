"""The words and signs of a condition, in their order. Pure."""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from enrich.dataset.condition.nodes import EXAMPLE, ConditionError

_TOKEN: Final = re.compile(
    r"(?P<blank>\s+|--[^\n]*|/\*.*?\*/)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<word>(?:[^\W\d]|[^\x00-\x7f\s])(?:\w|[^\x00-\x7f\s])*)"  # with accents of their own, and vowel signs
    r"|(?P<text>'(?:[^']|'')*')"
    r'|(?P<quoted>"(?:[^"]|"")+"|`[^`]+`)'
    r"|(?P<sign><>|!=|<=|>=|==|\|\||::|[-+*/%=<>(),])",
    re.DOTALL,
)
CLOCKS: Final = frozenset({"CURRENT_DATE", "CURRENT_TIMESTAMP", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word, sign, number or text of a condition, and where it begins."""

    kind: str  # number, word, text, quoted, sign, or end
    text: str
    at: int

    @property
    def upper(self) -> str:
        """A word as keywords are written; nothing for what is no word."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.at + len(self.text)


def asks_for_the_time(text: str) -> bool:
    """Whether a condition has a word by which SQL asks for the time, so that it may be true of other rows later."""
    clocks = CLOCKS | {"NOW", "TODAY"}
    try:
        return any(token.upper in clocks for token in tokens_of(text))
    except ConditionError:
        return False


def tokens_of(text: str) -> list[Token]:
    """The tokens of a condition, the last of kind `end`. Raises ConditionError."""
    tokens = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            _refuse_character(text, at)
        if match.lastgroup != "blank":
            tokens.append(Token(match.lastgroup, match[0], at))
        at = match.end()
    tokens.append(Token("end", "", len(text)))
    return tokens


def _refuse_character(text: str, at: int) -> NoReturn:
    if text[at] in "'\"`":
        raise ConditionError("a quote is opened and never closed", "inside quotes, a quote is written twice", at)
    if text.startswith("/*", at):
        raise ConditionError("a comment is opened and never closed", "end it with */", at)
    raise ConditionError(f"{text[at]!r} has no meaning in a condition", EXAMPLE, at)
