"""records/list and the recordings themselves (callcenter-api.md, section 2; reading.md, "Recordings")."""

from __future__ import annotations

from flask import Response, request, send_file

from api import record_documents, record_list
from api.body import decode_object, read_json
from api.envelope import PARAMETER_CODE, answer, failure, success_code
from api.fields import Fields
from api.house import House, house
from api.keys import principal
from api.masking import shown_rows
from api.routes import PREFIX, Route
from api.transactions import write
from shared import audit
from shared.database import reading
from shared.errors import RecordingPathError
from shared.links import recording_url
from shared.recordings import resolve, uuid_of

LISTEN = "listen"
LISTENING_MS = 10 * 60 * 1000
"""As long as a call may last by default: a range asked for later is somebody listening again."""


def list_records() -> Response:
    """One page of call records, newest first."""
    at = house()
    query = record_list.read_query(Fields(decode_object(read_json(request)), at.settings.timezone))
    with reading(at.engine) as connection:
        total, rows = record_list.find(connection, query, at.settings.timezone, lambda name: wav_url(at, name))
    code = success_code(at.settings.success_code, example=0)
    return answer({"total": total, "rows": shown_rows(rows), "code": code, "msg": None})


def wav_url(at: House, name: str) -> str:
    """The wavFileUrl of a recording, given to whoever sent the current request."""
    secret, given_to = at.keys.link_secret(), principal().identity
    return recording_url(at.settings.public_url, name, secret, at.clock.now_ms(), given_to=given_to)


def send_recording() -> Response:
    """A recording, whole or the range asked for; never a file that is no recording."""
    at = house()
    name = request.args.get("filename", "")
    try:
        path = resolve(at.settings.recordings_dir, name)
    except (RecordingPathError, ValueError):
        message = "filename 应形如 ai_call/yyyy/MM/dd/HH/<uuid>.wav，即通话记录中 wavFileUrl 所给的名称"
        return failure(PARAMETER_CODE, message, status=400)
    if not path.is_file():
        return failure(404, "录音文件不存在，可能尚未生成，或已过保存期", status=404)
    if request.method == "GET":
        _note(at, audit.of_call(uuid_of(name)))
    response = send_file(path, mimetype="audio/wav", conditional=True, download_name=path.name, max_age=0)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _note(at: House, subject: str) -> None:
    """Who listens is in the audit before the first byte leaves. A player asks for many ranges of one recording: one that
    is not from the start counts as a listening of its own, unless the same listener's was noted within LISTENING_MS."""
    who, now = principal().name, at.clock.now_ms()
    asked = request.range
    if asked is not None and asked.ranges[0][0] != 0:
        with reading(at.engine) as connection:
            if audit.is_noted(connection, who, LISTEN, subject, now - LISTENING_MS):
                return
    write(at.engine, lambda connection: audit.note(connection, who, LISTEN, now, subject=subject))


ROUTES = (
    Route(PREFIX + "/aicall/records/list", "POST", list_records, record_documents.LIST, alias="/aicall/records/list"),
    Route("/recordings/files", "GET", send_recording, record_documents.RECORDING, alias=PREFIX + "/recordings/files"),
)
