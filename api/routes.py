"""Routes as data: what is served, and what the OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_smorest import Api, Blueprint  # type: ignore[import-untyped]

from api.documents import forbidden_reply, too_many_reply
from api.scopes import OPEN, SCOPES_OF

PREFIX = "/api"
"""Every specified route is served with and without it (reading.md, "Paths")."""


@dataclass(frozen=True)
class Route:
    """``rule`` is the documented path; ``alias`` serves the same without being documented, "" for none.

    ``doc`` is an OpenAPI operation; marshmallow schemas in it become references.
    """

    rule: str
    method: str
    view: Callable[..., ResponseReturnValue]
    doc: Mapping[str, Any] = field(default_factory=dict)
    alias: str = ""


def documented(route: Route) -> dict[str, Any]:
    """The operation, with what every endpoint that needs a key has in common."""
    doc, scopes = dict(route.doc), SCOPES_OF[route.view.__name__]
    if scopes == OPEN:
        return doc
    named = "、".join(f"`{scope}`" for scope in scopes)
    doc["description"] = f"{doc.get('description', '')}\n\n密钥所需的权限：{named}。".strip()
    in_v1 = route.rule.startswith("/api/v1/")
    refusals = {"403": forbidden_reply(scopes, problem=in_v1), "429": too_many_reply(problem=in_v1)}
    doc["responses"] = refusals | doc["responses"]
    return doc


def register(app: Flask, api: Api, name: str, description: str, routes: Sequence[Route]) -> None:
    """Serves the routes as one section of the documentation, then their aliases beside it."""
    blueprint = Blueprint(name, __name__, description=description)
    for route in routes:
        view = blueprint.doc(**documented(route))(route.view)
        blueprint.add_url_rule(route.rule, endpoint=route.view.__name__, view_func=view, methods=[route.method])
    api.register_blueprint(blueprint)
    for route in routes:
        if route.alias:
            app.add_url_rule(route.alias, f"{route.view.__name__}_alias", route.view, methods=[route.method])
