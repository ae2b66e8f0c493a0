"""The words of a command line as Hydra receives them: names of files and directories stay words."""

import re
import shlex
from collections.abc import Sequence

PATH = re.compile(
    r"weights|(.*[._])?(dir|files?|path|input|output|runs?|ckpt|reference)"
)  # keys whose value is a path or several
# what Hydra reads as a number or a truth value; `null` keeps its meaning
NOT_A_WORD = re.compile(r"[-+]?[\d_]+(\.[\d_]*)?([eE][-+]?\d+)?|true|false|nan|inf", re.IGNORECASE)
ENTRY = re.compile(r"(?P<before>^|[\[,])(?P<value>[^\[\],'\"]+)(?=$|[\],])")


def with_paths_as_words(words: Sequence[str]) -> list[str]:
    """Quote the paths that Hydra would read as numbers: `run_dir=12345` and `sweep.dir=2026_11_27` name directories."""
    return [_quoted(word) for word in words]


def with_keys_of_classes(words: Sequence[str]) -> list[str]:
    """Let `cut.electron=0.9` add the key of a class, whose names Hydra cannot know."""
    return [f"++{word}" if word.startswith("cut.") else word for word in words]


def quoted(word: str) -> str:
    """The word as one types it in a shell, its value in quotes, or each entry where it is a list in brackets."""
    key, _, value = word.partition("=")
    if value.startswith("[") and value.endswith("]"):
        entries = [_in_quotes(entry.strip()) for entry in value[1:-1].split(",")]
        return shlex.quote(f"{key}=[{','.join(entries)}]")
    return shlex.quote(f"{key}={_in_quotes(value)}")


def _in_quotes(text: str) -> str:
    """The text in the quotes of Hydra's grammar, where a quote and the backslashes before it are escaped."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ("\\" + found[2] if found[2] else ""), text)
    return f'"{escaped}"'


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    if not PATH.fullmatch(key.lstrip("+")):
        return word

    def quote(entry: re.Match[str]) -> str:
        text = entry["value"]
        return f"{entry['before']}'{text}'" if NOT_A_WORD.fullmatch(text.strip()) else entry[0]

    return f"{key}={ENTRY.sub(quote, value)}" if value else word
