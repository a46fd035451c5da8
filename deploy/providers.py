"""``waihu doctor`` asks the providers of speech and of language: as the product connects, and nothing that costs.

What only a task that is paid for would tell stays unchecked: the speech models' names, the voice, the account's balance.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploy import probes
from deploy.check import Check, Checks
from deploy.readiness import ASK_SECONDS
from media.speech.aliyun import ENDPOINT as ALIYUN_ENDPOINT
from media.speech.aliyun import open_connection
from media.speech.ports import SpeechFailure
from shared.settings import Settings

MODEL_TITLE = "language model"
_NO_KEY = "none"
"""Sent for an empty key, as the calls' own client does: local servers want none."""


def speech(settings: Settings) -> Checks:
    """Recognition and synthesis. A provider is asked by the handshake that begins every task, a stand-in only reached."""
    for name, title in (("asr", "speech recognition"), ("tts", "speech synthesis")):
        provider, key = getattr(settings, f"{name}_provider"), getattr(settings, f"{name}_key")
        url = getattr(settings, f"{name}_endpoint") or ALIYUN_ENDPOINT
        variable = f"WAIHU_{name.upper()}"
        if provider and not key:
            yield Check(title, "fail", f"{provider} without a key", f"set {variable}_KEY")
        elif provider:
            yield _provider(title, f"{provider} at {url}", variable, asyncio.run(_handshake(url, key)))
        elif problem := probes.reach(url):
            yield Check(title, "fail", f"{url}: {problem}", "`waihu up` starts it")
        else:
            yield Check(title, "ok", f"stand-in at {url}")


async def _handshake(url: str, key: str) -> SpeechFailure | None:
    """Why the service does not take the connection; it compares the key before it upgrades, and no task begins."""
    try:
        connection = await open_connection(url, key)
    except SpeechFailure as failure:
        return failure
    await connection.close()
    return None


def _provider(title: str, place: str, variable: str, failure: SpeechFailure | None) -> Check:
    if failure is None:
        return Check(title, "ok", f"{place}, the key is taken")
    if failure.code == "denied":
        return Check(title, "fail", f"{place}: the key is refused", f"correct {variable}_KEY")
    fix = f"correct {variable}_ENDPOINT"
    if failure.retryable:
        fix += ", or open the way to it; if it answers 429 or 5xx, look at the account and try again later"
    return Check(title, "fail", f"{place}: {failure.message}", fix)


def language_model(settings: Settings) -> Checks:
    """The list of models, which every key may read; a server that has none is asked for an answer without a question."""
    if not settings.llm_endpoint:
        yield Check(MODEL_TITLE, "ok", "none: scripted playbooks only")
        return
    try:
        yield _ask(settings)
    except httpx2.HTTPError as error:
        problem = f"{settings.llm_endpoint}: {type(error).__name__}"
        yield Check(MODEL_TITLE, "fail", problem, "correct WAIHU_LLM_ENDPOINT, or open the way to it")


def _ask(settings: Settings) -> Check:
    """Raises httpx2.HTTPError if nothing comes back."""
    endpoint = settings.llm_endpoint.rstrip("/")
    host = urlsplit(endpoint).hostname or ""
    with httpx2.Client(
        headers={"Authorization": f"Bearer {settings.llm_key or _NO_KEY}"},
        timeout=ASK_SECONDS,
        trust_env=not (host in ("localhost", "::1") or host.startswith("127.")),
        follow_redirects=True,
    ) as client:
        answer = client.get(f"{endpoint}/models")
        if answer.is_success:
            return _listed(settings, answer)
        if answer.status_code in (404, 405):
            # Not every server has the list. A question without its fields costs nothing, and is refused as such.
            answer = client.post(f"{endpoint}/chat/completions", json={})
            if answer.status_code in (400, 422):
                return Check(MODEL_TITLE, "ok", f"{endpoint}; it lists no models: {settings.llm_model} is not checked")
    return _refused(endpoint, answer.status_code)


def _listed(settings: Settings, answer: httpx2.Response) -> Check:
    """The stand-in answers to any name; a provider's list may leave some out, so a name that is missing only warns."""
    place = f"{settings.llm_model} at {settings.llm_endpoint}"
    try:
        models = _names(answer.json())
    except ValueError:
        problem = f"{settings.llm_endpoint}: expected JSON from /models, got something else"
        return Check(MODEL_TITLE, "fail", problem, "correct WAIHU_LLM_ENDPOINT: it mostly ends in /v1")
    if models and settings.llm_model not in models and "llm" not in settings.standins:
        return Check(
            MODEL_TITLE, "warn", f"{place}: not among the {len(models)} models that it lists", "see WAIHU_LLM_MODEL"
        )
    return Check(MODEL_TITLE, "ok", place)


def _names(document: Any) -> set[str]:
    """The models' ids of OpenAI's list; empty for a document of another shape."""
    data = document.get("data") if isinstance(document, dict) else None
    return {str(item["id"]) for item in data or () if isinstance(item, dict) and "id" in item}


def _refused(endpoint: str, status: int) -> Check:
    if status in (401, 403):
        return Check(MODEL_TITLE, "fail", f"{endpoint}: the key is refused", "correct WAIHU_LLM_KEY")
    detail = f"{endpoint}: HTTP {status}"
    if status in (404, 405):
        fix = "correct WAIHU_LLM_ENDPOINT: what stands before /chat/completions, mostly ending in /v1"
        return Check(MODEL_TITLE, "fail", f"{detail} for /models and for /chat/completions", fix)
    if status == 429:
        return Check(
            MODEL_TITLE, "fail", f"{detail}: too many requests, or the account is used up", "look at the account"
        )
    if status >= 500:
        fix = "see that the server is well, or wait for the provider; scripted playbooks go on without it"
        return Check(MODEL_TITLE, "fail", f"{detail}: it is in trouble", fix)
    return Check(MODEL_TITLE, "fail", f"{detail}, which is no answer of a model's server", "correct WAIHU_LLM_ENDPOINT")
