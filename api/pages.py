"""The documentation and the console: static pages from the installed packages, nothing from a CDN."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, redirect, send_from_directory
from flask.typing import ResponseReturnValue
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

STATIC = Path(__file__).parent / "static"

pages = Blueprint("pages", __name__)


@pages.get("/")
def console() -> Response:
    """The console: one page that reads the JSON API."""
    return send_from_directory(STATIC, "console.html")


@pages.get("/docs")
def docs() -> Response:
    """Swagger UI over ``/docs/openapi.json``."""
    return send_from_directory(STATIC, "docs.html")


@pages.get("/docs/")
def docs_slash() -> ResponseReturnValue:
    """The same, as some type it."""
    return redirect("/docs", code=308)


@pages.get("/docs/assets/<path:name>")
def docs_asset(name: str) -> Response:
    """Swagger UI's own files."""
    return send_from_directory(Path(str(swagger_ui_path)), name)


@pages.get("/static/<path:name>")
def static_file(name: str) -> Response:
    """The console's own files."""
    return send_from_directory(STATIC, name)
