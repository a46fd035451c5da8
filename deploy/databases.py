"""The database that a command works on: named before anything is believed of it, and never made by looking at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from shared.database import open_engine, reading, require_current
from shared.errors import DatabaseUnavailable
from shared.settings import Settings

FIXES = (
    ("password authentication failed", "correct user and password in WAIHU_DATABASE_URL"),
    ("no password supplied", "put a password into WAIHU_DATABASE_URL"),
    ('role "', "make that role, or correct the user in WAIHU_DATABASE_URL"),
    ('database "', "make that database (createdb), or correct its name in WAIHU_DATABASE_URL"),
    ("could not translate host name", "correct the host in WAIHU_DATABASE_URL"),
    ("Connection refused", "start it, or correct host and port in WAIHU_DATABASE_URL"),
    ("timed out", "open the way to it, or correct host and port in WAIHU_DATABASE_URL"),
    ("no pg_hba.conf entry", "let this machine in (pg_hba.conf), or correct WAIHU_DATABASE_URL"),
)
"""What libpq and the server say, and what to do then; the first that is found counts."""
LONGEST_CAUSE = 300
"""Characters of a server's own words."""


def place(url: str) -> str:
    """Which database a URL means, for people: a SQLite file's whole path, or the URL without its password."""
    parsed = make_url(url)
    path = sqlite_file(url)
    if path is not None:
        return f"SQLite {path.resolve()}"
    if parsed.get_backend_name() == "sqlite":
        return "SQLite in memory"
    shown = URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database)
    return shown.render_as_string()


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for every other."""
    parsed = make_url(url)
    named = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(parsed.database or "") if named else None


def why(error: DBAPIError, url: str) -> str:
    """In one line: which database failed, in its own words without the password, and what to do."""
    words = " ".join(str(error.orig).split())[:LONGEST_CAUSE]
    password = make_url(url).password
    if password:
        words = words.replace(str(password), "********")
    cause = words.partition(" failed: ")[2] or words
    cause = cause.partition(" Is the server running")[0].removeprefix("FATAL: ").strip()
    fix = next((advice for sign, advice in FIXES if sign in cause), "correct WAIHU_DATABASE_URL")
    return f"the database {place(url)} cannot be used: {cause}; {fix}"


def explained(error: DatabaseUnavailable, url: str) -> str:
    """What ``require_current`` found, with the cause that it leaves out: it may be told to strangers."""
    if isinstance(error.__cause__, DBAPIError):
        return why(error.__cause__, url)
    return f"{place(url)}: {error}"


def require_directory(settings: Settings) -> None:
    """Raises DatabaseUnavailable if a SQLite file that a setting names would need a directory that is not there."""
    path = sqlite_file(settings.database_url)
    if path is None or settings.sources["database_url"] == "default" or path.parent.is_dir():
        return
    raise DatabaseUnavailable(
        f"WAIHU_DATABASE_URL: the directory {path.parent} does not exist; make it, or correct the setting"
    )


def require_reachable(settings: Settings) -> None:
    """Raises DatabaseUnavailable that says why nothing can be read from the database; a SQLite file may be missing."""
    require_directory(settings)
    path = sqlite_file(settings.database_url)
    if path is not None and not path.exists():
        return
    engine = open_engine(settings.database_url, pool_size=1)
    try:
        with reading(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
            if path is not None:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except DBAPIError as error:
        raise DatabaseUnavailable(why(error, settings.database_url)) from error
    finally:
        engine.dispose()


@contextmanager
def existing(settings: Settings) -> Iterator[Engine]:
    """An engine on a database that is there, with this version's schema. Raises DatabaseUnavailable in one line."""
    path = sqlite_file(settings.database_url)
    if path is not None and not path.is_file():
        raise DatabaseUnavailable(
            f"there is no database {path.resolve()} ({_origin(settings)}); "
            "run this where `waihu up` runs, or set WAIHU_STATE_DIR or WAIHU_DATABASE_URL as it does"
        )
    engine = open_engine(settings.database_url, pool_size=1)
    try:
        require_current(engine)
        yield engine
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(explained(error, settings.database_url)) from error
    except (InterfaceError, OperationalError) as error:
        raise DatabaseUnavailable(why(error, settings.database_url)) from error
    finally:
        engine.dispose()


def _origin(settings: Settings) -> str:
    if settings.sources["database_url"] != "default":
        return f"WAIHU_DATABASE_URL, {settings.sources['database_url']}"
    if settings.sources["state_dir"] != "default":
        return f"in the state directory that WAIHU_STATE_DIR names, {settings.sources['state_dir']}"
    return f"the state directory is var in the current directory, {Path.cwd()}"
