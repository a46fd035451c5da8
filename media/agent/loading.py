"""Reads playbooks from Markdown files with front matter, and says exactly what is wrong with them."""

from __future__ import annotations

from pathlib import Path

from media.agent.checking import Checker
from media.agent.compiling import Compiler
from media.agent.front import FrontFile
from media.agent.playbook import Playbook, PlaybookError, Playbooks


def load_playbooks(directory: Path) -> Playbooks:
    """Every ``*.md`` in ``directory``. Raises PlaybookError that names each mistake in each file."""
    paths = sorted(directory.glob("*.md")) if directory.is_dir() else []
    if not paths:
        raise PlaybookError(f"{directory}: expected at least one playbook (*.md); set WAIHU_PLAYBOOKS_DIR")
    playbooks, faults = [], []
    for path in paths:
        try:
            playbooks.append(load_playbook(path))
        except PlaybookError as error:
            faults.append(str(error))
    faults += [] if faults else _between(playbooks, directory)
    if faults:
        raise PlaybookError("\n".join(faults))
    return Playbooks(playbooks)


def load_playbook(path: Path) -> Playbook:
    """One file. Raises PlaybookError. Names of other playbooks in it are not checked."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlaybookError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    file = FrontFile(path, text)
    playbook = Compiler(file).compile()
    Checker(file).check()
    file.raise_faults()
    return playbook


def _between(playbooks: list[Playbook], directory: Path) -> list[str]:
    """Mistakes that only show when all are seen together."""
    faults = []
    defaults = [book.path.name for book in playbooks if book.default]
    if len(defaults) != 1:
        named = ", ".join(defaults) or "none"
        faults.append(f"{directory}: expected one playbook with default: true, got {named}")
    by_name = {book.name: book for book in playbooks}
    served: dict[str, str] = {}
    for book in playbooks:
        for entry in book.serves:
            if entry in served:
                faults.append(f"{book.path}: serves: {entry} is already served by {served[entry]}")
            served[entry] = book.path.name
        if book.kind == "llm" and (book.fallback not in by_name or by_name[book.fallback].kind != "scripted"):
            faults.append(f"{book.path}: fallback: expected the name of a scripted playbook, got {book.fallback!r}")
    return faults
