"""The layer rule, walked: who may import whom, said with file and line when it is broken.

api, workers and media import shared and never one another; shared imports none of them; the sandbox imports nothing
of ours but the phone system's wire format; deploy may import all. Nothing that runs imports tests or benchmarks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("api", "workers", "media", "shared", "sandbox", "deploy", "tests", "benchmarks")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "shared": ("shared",),
    "api": ("api", "shared"),
    "workers": ("workers", "shared"),
    "media": ("media", "shared"),
    "sandbox": ("sandbox", "shared.phone.wire"),
    "deploy": ("deploy", "api", "workers", "media", "shared", "sandbox"),
}
PURE = (
    "shared/lifecycle",
    "shared/phone/wire.py",
    "shared/numbers.py",
    "shared/window.py",
    "shared/frequency.py",
    "shared/retries.py",
    "shared/answer_rate.py",
    "media/playout.py",
    "media/turns.py",
    "media/bargein.py",
    "media/audio",
    "media/protocol",
)
"""No I/O, no clock, no randomness: what is listed must exist by the time its package does."""
IMPURE = frozenset(
    {
        "asyncio",
        "time",
        "socket",
        "threading",
        "random",
        "secrets",
        "os",
        "subprocess",
        "redis",
        "sqlalchemy",
        "websockets",
    }
)
LATE_IMPORTS: dict[str, str] = {}
"""Imports inside functions that have a reason: "file:module" -> the reason."""


class Import(NamedTuple):
    """One imported module: where, what, whether inside a function, and whether for type checkers only."""

    place: str
    line: int
    module: str
    late: bool
    typing: bool

    def __str__(self) -> str:
        return f"{self.place}:{self.line} imports {self.module}"


def sources(top: str) -> list[Path]:
    return sorted((ROOT / top).rglob("*.py"))


def imports(path: Path, root: Path = ROOT) -> list[Import]:
    """Every import in a file, in order; relative ones made absolute, each name that is a module of ours in full."""
    tree = ast.parse(path.read_bytes(), str(path))
    late = inside(tree, lambda node: isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))
    typing = inside(tree, lambda node: isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = from_modules(node, path, root)
        else:
            continue
        place = str(path.relative_to(root))
        found += [Import(place, node.lineno, module, id(node) in late, id(node) in typing) for module in modules]
    return sorted(found, key=lambda item: item.line)


def inside(tree: ast.AST, holds: Callable[[ast.AST], bool]) -> set[int]:
    """The identities of all nodes under those for which ``holds``."""
    return {id(inner) for node in ast.walk(tree) if holds(node) for inner in ast.walk(node)}


def from_modules(node: ast.ImportFrom, path: Path, root: Path) -> list[str]:
    package = path.relative_to(root).parent.parts
    above = package[: len(package) - node.level + 1] if node.level else ()
    base = ".".join((*above, *filter(None, [node.module])))
    return [
        f"{base}.{alias.name}" if is_module(root.joinpath(*base.split("."), alias.name)) else base
        for alias in node.names
    ]


def is_module(place: Path) -> bool:
    return place.with_suffix(".py").is_file() or (place.is_dir() and any(place.glob("*.py")))


def within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(allowed + ".")


@pytest.mark.parametrize("top", MAY_IMPORT)
def test_a_package_imports_only_what_the_layer_rule_allows(top: str) -> None:
    broken = [
        f"{found}; {top} may import {', '.join(MAY_IMPORT[top])} of ours"
        for path in sources(top)
        for found in imports(path)
        if found.module.split(".")[0] in HOUSE and not any(within(found.module, name) for name in MAY_IMPORT[top])
    ]
    assert broken == []


def test_espeak_is_loaded_in_the_sandbox_only() -> None:
    """It is GPL-3: it must stay in a process of its own (README, licence)."""
    broken = [
        str(found)
        for top in HOUSE
        for path in sources(top)
        for found in imports(path)
        if found.module.split(".")[0] == "espeakng_loader"
        and path.relative_to(ROOT).parts[:1] != ("sandbox",)
        and path.relative_to(ROOT).parts[:2] != ("tests", "sandbox")
    ]
    assert broken == []


def test_no_module_imports_inside_a_function_without_a_reason() -> None:
    broken = [
        f"{found} inside a function: move it up, or give its reason in LATE_IMPORTS"
        for top in MAY_IMPORT
        for path in sources(top)
        for found in imports(path)
        if found.late and f"{path.relative_to(ROOT)}:{found.module}" not in LATE_IMPORTS
    ]
    assert broken == []


@pytest.mark.parametrize("place", PURE)
def test_a_pure_module_does_no_io_and_reads_no_clock(place: str) -> None:
    paths = [ROOT / place] if place.endswith(".py") else sources(place)
    assert paths
    assert all(path.is_file() for path in paths), f"{place} is not there: correct PURE"
    broken = [str(found) for path in paths for found in imports(path) if found.module.split(".")[0] in IMPURE]
    assert broken == []


def test_our_modules_do_not_import_one_another_in_a_circle() -> None:
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): {
            found.module for found in imports(path) if found.module.split(".")[0] in MAY_IMPORT and not found.typing
        }
        for top in MAY_IMPORT
        for path in sources(top)
    }
    assert circle(graph) == []


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle in ``graph``, as the names along it; empty if there is none."""
    done: set[str] = set()
    way: list[str] = []

    def visit(module: str) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done or module not in graph:
            return []
        way.append(module)
        for target in sorted(graph[module]):
            if target != module and (found := visit(target)):
                return found
        way.pop()
        done.add(module)
        return []

    for module in graph:
        if found := visit(module):
            return found
    return []


def test_the_walk_sees_what_it_looks_for(tmp_path: Path) -> None:
    """The rules above would hold for any code if the walk saw nothing."""
    package = tmp_path / "media" / "audio"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "wav.py").touch()
    path = package / "x.py"
    path.write_text(
        "import api.app\nfrom . import wav\nfrom ..audio import wav\n"
        "if TYPE_CHECKING:\n    import media.turns\ndef f():\n    from shared import bus\n"
    )
    assert [(item.line, item.module, item.late, item.typing) for item in imports(path, tmp_path)] == [
        (1, "api.app", False, False),
        (2, "media.audio.wav", False, False),
        (3, "media.audio.wav", False, False),
        (5, "media.turns", False, True),
        (7, "shared", True, False),
    ]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
