"""The API's entry point: ``gunicorn 'api.app:create_app()'``. It reads top to bottom."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api  # type: ignore[import-untyped]
from sqlalchemy import Engine

from api import (
    dialling_views,
    erasure_views,
    faults,
    gate,
    health,
    metrics,
    phone_views,
    record_views,
    suppression_views,
    task_views,
    v1_views,
    webhook_views,
)
from api.bell import Bell, Ringer
from api.body import MAX_BODY_BYTES
from api.census import Census
from api.documents import SCHEMAS
from api.house import EXTENSION, House
from api.keys import KeyRing
from api.pages import pages
from api.rate import RateLimiter
from api.routes import register
from shared.bus import open_redis
from shared.clock import Clock
from shared.database import house_clock, open_engine
from shared.doorbell import Doorbell
from shared.settings import Settings, load

ABOUT = """把工单交给 AI 打电话，并取回每一通电话的记录与录音。

接口按《Callcenter接口规范》提供，每个地址带不带 `/api` 前缀都可以。参数错误为 HTTP 200、`code` 405；
意外失败为 HTTP 500。有密钥之后（`WAIHU_API_KEYS` 或 `waihu keys add`）须带上密钥。`/api/v1` 下的接口使用 HTTP 状态码与 RFC 9457。"""


def create_app(
    settings: Settings | None = None,
    engine: Engine | None = None,
    doorbell: Bell | None = None,
    clock: Clock | None = None,
) -> Flask:
    """The WSGI application. What is not given is made from the settings, and those from the environment.

    Whoever binds it to an address calls ``shared.settings.require_safe_listen`` first. Raises SettingsError.
    """
    settings = settings or load()
    engine = engine or open_engine(settings.database_url)
    clock = clock or house_clock(engine)
    app = Flask("api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.converters[suppression_views.NUMBER] = suppression_views.ListedNumber
    app.extensions[EXTENSION] = House(
        settings=settings,
        engine=engine,
        ringer=Ringer(doorbell or Doorbell(settings.redis_url)),
        clock=clock,
        census=Census(engine, clock),
        keys=KeyRing(engine, clock, settings.api_keys),
        limiter=RateLimiter(open_redis(settings.redis_url), clock),
    )
    smorest = _documentation(app)
    register(app, smorest, "tasks", "任务：创建、查询、停止", task_views.ROUTES)
    register(app, smorest, "records", "通话记录与录音", record_views.ROUTES)
    register(app, smorest, "phone", "电话系统的回调", phone_views.ROUTES)
    register(app, smorest, "dialling", "定时、再拨与暂停（文档之外）", dialling_views.ROUTES)
    register(app, smorest, "suppression", "免打扰名单（文档之外）", suppression_views.ROUTES)
    register(app, smorest, "erasures", "抹除客户资料（文档之外）", erasure_views.ROUTES)
    register(app, smorest, "v1", "细节与统计（文档之外）", v1_views.ROUTES)
    register(app, smorest, "webhooks", "任务结束的通知（文档之外）", webhook_views.ROUTES)
    register(app, smorest, "house", "运行状况", (*health.ROUTES, *metrics.ROUTES))
    app.register_blueprint(pages)
    faults.register(app)
    gate.register(app)
    return app


def _documentation(app: Flask) -> Api:
    """The OpenAPI document at ``/docs/openapi.json``; every route registered with it becomes part of it."""
    app.config |= {
        "API_TITLE": "Waihu 外呼",
        "API_VERSION": "1",
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/docs",
        "OPENAPI_JSON_PATH": "openapi.json",
    }
    schemes = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "API 密钥"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "API 密钥"},
        "phoneSecret": {"type": "apiKey", "in": "query", "name": "secret", "description": "WAIHU_PHONE_SECRET"},
    }
    security: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}, {}]
    smorest = Api(app, spec_kwargs={"info": {"description": ABOUT}, "security": security, "servers": [{"url": "/"}]})
    smorest.DEFAULT_ERROR_RESPONSE_NAME = None  # every operation names its own errors
    for name, scheme in schemes.items():
        smorest.spec.components.security_scheme(name, scheme)
    for name, schema in SCHEMAS:
        smorest.spec.components.schema(name, schema=schema)
    return smorest
