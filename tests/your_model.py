"""The files that docs/your_model.md shows, and its commands."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "your_model.md"


def write_files(folder: Path) -> None:
    """Write the directory my/ of the page into a folder."""
    for name, content in re.findall(r"^`(my/[\w/.]+)`:\n\n```\w+\n(.*?)```", PAGE.read_text("utf-8"), re.M | re.S):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def commands() -> list[str]:
    fences = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [line for fence in fences for line in fence.splitlines()]
