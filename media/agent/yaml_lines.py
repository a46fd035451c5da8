"""YAML with the line of every value, so that a mistake can be shown where it is. Pure."""

from __future__ import annotations

from typing import Any

import yaml


class YamlFault(ValueError):
    """Not YAML, or YAML that has no place here (an alias, a repeated key). ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def load_with_lines(text: str) -> tuple[Any, dict[str, int]]:
    """The value, and for the path of each part of it (``steps.ask.on[2]``) its line, from 1. Raises YamlFault."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFault(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise YamlFault(1, f"not YAML: {error}") from error
    except RecursionError as error:
        raise YamlFault(1, "not YAML that anybody wrote: nested too deeply") from error
    lines: dict[str, int] = {}
    if root is None:
        return None, lines
    return _Values(lines).value(root, ""), lines


class _Values:
    """Makes values of nodes, and notes their lines."""

    def __init__(self, lines: dict[str, int]) -> None:
        self._lines = lines
        self._loader = yaml.SafeLoader("")
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: str) -> Any:
        line = node.start_mark.line + 1
        self._lines[path] = line
        if id(node) in self._seen:
            raise YamlFault(line, f"{path}: aliases (*name) have no place here")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise YamlFault(line, f"{path}: {error}") from error
        except (LookupError, AttributeError, TypeError, ArithmeticError) as error:  # a tag (!!int) on what is none
            raise YamlFault(line, f"{path}: not a value of {node.tag}") from error

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            below = f"{path}.{key}" if path else key
            if key in found:
                raise YamlFault(key_node.start_mark.line + 1, f"{below}: given twice")
            found[key] = self.value(value_node, below)
            self._lines[below] = key_node.start_mark.line + 1
        return found
