"""Settings: where a value comes from, what is refused and how it is said, and what is never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import values
from shared.errors import SettingsError
from shared.settings import Caller, Settings, load, require_safe_listen


def settings(directory: Path, **given: str) -> Settings:
    return load({f"WAIHU_{name}": value for name, value in given.items()}, directory)


def endpoints(directory: Path, **written: object) -> None:
    (directory / "var").mkdir(exist_ok=True)
    (directory / "var" / "endpoints.json").write_text(json.dumps(written))


# --- where a value comes from ------------------------------------------------------------------------------------------


def test_without_any_setting_everything_is_embedded_on_this_machine(tmp_path: Path) -> None:
    house = load({}, tmp_path)
    assert house.database_url == f"sqlite:///{tmp_path / 'var' / 'waihu.db'}"
    assert house.recordings_dir == tmp_path / "var" / "recordings"
    assert house.redis_url.startswith("redis://127.0.0.1:")
    assert house.phone_url == "http://127.0.0.1:18059/np/sandbox/dialog"
    assert house.callers == (Caller("057128167421", 30, 10.0),)
    assert house.retry_no_answer == (1800.0, 7200.0)
    assert house.fallback_file == "fallback"
    assert settings(tmp_path, PHONE_URL="http://phone").fallback_file == ""
    assert house.embedded_redis
    assert house.standins == ("phone", "asr", "tts")
    assert not house.standins_forbidden


def test_the_environment_wins_over_the_file_and_the_file_over_what_is_embedded(tmp_path: Path) -> None:
    endpoints(
        tmp_path, redis_url="redis://127.0.0.1:1/0", phone_url="http://127.0.0.1:2", public_url="http://127.0.0.1:3"
    )
    (tmp_path / ".env").write_text("WAIHU_REDIS_URL=redis://file/0\nWAIHU_PHONE_URL=http://file\nOTHER=1\n")
    house = settings(tmp_path, REDIS_URL="redis://environment/0")
    assert (house.redis_url, house.sources["redis_url"]) == ("redis://environment/0", "environment")
    assert (house.phone_url, house.sources["phone_url"]) == ("http://file", ".env")
    assert (house.public_url, house.sources["public_url"]) == ("http://127.0.0.1:3", "embedded")
    assert (house.max_calls, house.sources["max_calls"]) == (200, "default")


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "PHONE_URL", "ASR_PROVIDER", "TTS_PROVIDER"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_counts_as_not_set(tmp_path: Path, name: str, empty: str) -> None:
    house = settings(tmp_path, **{name: empty})
    assert house == load({}, tmp_path)
    assert house.sources[name.lower()] in ("default", "embedded")
    assert not house.standins_forbidden


def test_an_empty_value_in_the_environment_hides_the_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WAIHU_PHONE_URL=http://file\n")
    assert settings(tmp_path, PHONE_URL="").sources["phone_url"] == "embedded"


def test_an_empty_list_of_retries_means_none(tmp_path: Path) -> None:
    house = settings(tmp_path, RETRY_NO_ANSWER="", RETRY_REFUSED=" ")
    assert (house.retry_no_answer, house.retry_refused) == ((), ())


def test_a_dollar_in_the_file_is_a_dollar(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WAIHU_PHONE_SECRET=a${HOME}b\n")
    assert load({}, tmp_path).phone_secret == "a${HOME}b"


def test_the_stand_in_voices_follow_the_cloud_that_the_supervisor_started(tmp_path: Path) -> None:
    endpoints(tmp_path, cloud_url="http://127.0.0.1:4000")
    house = load({}, tmp_path)
    assert house.asr_endpoint == house.tts_endpoint == "ws://127.0.0.1:4000/api-ws/v1/inference"
    aliyun = settings(tmp_path, ASR_PROVIDER="aliyun", ASR_KEY="key")
    assert (aliyun.asr_endpoint, aliyun.asr_key) == ("", "key")
    assert aliyun.standins == ("phone", "tts")


def test_a_stand_in_for_the_language_model_is_named_too(tmp_path: Path) -> None:
    endpoints(tmp_path, llm_endpoint="http://127.0.0.1:4000/v1", llm_key="standin")
    assert load({}, tmp_path).standins == ("phone", "asr", "tts", "llm")
    assert "llm" not in settings(tmp_path, LLM_ENDPOINT="https://host/v1").standins


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"x"', "\x00"])
def test_endpoints_that_cannot_be_read_are_named_with_the_fix(tmp_path: Path, content: str) -> None:
    endpoints(tmp_path)
    (tmp_path / "var" / "endpoints.json").write_text(content)
    with pytest.raises(SettingsError, match=r"endpoints\.json .* delete it"):
        load({}, tmp_path)


# --- the stand-in gate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "forbidden"),
    [
        ({}, False),
        ({"DATABASE_URL": "postgresql://db/waihu"}, True),
        ({"REDIS_URL": "redis://cache/0"}, True),
        ({"PHONE_URL": "http://pbx/dialog"}, True),
        ({"PHONE_URL": "http://pbx/dialog", "ALLOW_STANDIN": "1"}, False),
        ({"PHONE_URL": "http://pbx/dialog", "ASR_PROVIDER": "aliyun", "TTS_PROVIDER": "aliyun"}, False),
        ({"ASR_PROVIDER": "aliyun"}, False),
    ],
)
def test_a_stand_in_beside_a_real_service_forbids_dialling(
    tmp_path: Path, given: dict[str, str], forbidden: bool
) -> None:
    assert settings(tmp_path, **given).standins_forbidden is forbidden


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_nearest_right_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"WAIHU_PHONE_ULR is not a setting; did you mean WAIHU_PHONE_URL\?"):
        settings(tmp_path, PHONE_ULR="http://x")


def test_an_unknown_name_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WAIHU_NONSENSE_QQQ=1\n")
    with pytest.raises(SettingsError, match="waihu settings"):
        load({}, tmp_path)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(tmp_path, MAX_CALLS="none", TIMEZONE="Mars", QUATSCH="1")
    for name in ("WAIHU_MAX_CALLS", "WAIHU_TIMEZONE", "WAIHU_QUATSCH"):
        assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_CALLS", "0"),
        ("MAX_CALLS", "-1"),
        ("MAX_CALLS", "²"),
        ("MAX_CALLS", "9" * 400),
        ("RING_TIMEOUT", "soon"),
        ("RING_TIMEOUT", "-5s"),
        ("RING_TIMEOUT", "9" * 400),
        ("RING_TIMEOUT", "nan"),
        ("TIMEZONE", "Asia"),
        ("TIMEZONE", "../../etc/passwd"),
        ("PHONE_RECORD", "maybe"),
        ("PHONE_URL", "phone:18059"),
        ("PHONE_URL", "http://"),
        ("PHONE_URL", "http://host:port"),
        ("PHONE_URL", "http://host:0"),
        ("PHONE_URL", "http://[::1"),
        ("REDIS_URL", "http://host"),
        ("DATABASE_URL", "mysql://host/db"),
        ("DATABASE_URL", "postgres"),
        ("API_LISTEN", "8899"),
        ("API_LISTEN", "host:99999"),
        ("API_LISTEN", ":8899"),
        ("CALLERS", ";"),
        ("CALLERS", "0571:concurrency=0"),
        ("CALLERS", "0571:cps=0"),
        ("CALLERS", "0571:cps=nan"),
        ("CALLERS", "0571:speed=3"),
        ("CALLERS", "0571;0571"),
        ("CALLERS", "abc"),
        ("CALLERS", "٣٣٣٣"),
        ("SUCCESS_CODE", "1"),
        ("LOG_LEVEL", "loud"),
        ("ASR_PROVIDER", "nobody"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"WAIHU_{name}: "):
        settings(tmp_path, **{name: text})


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "PHONE_URL"])
def test_a_malformed_url_is_refused_without_its_password(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(tmp_path, **{name: "gopher://user:hunter2@host"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://waihu:s3cr@et!Pw@127.0.0.1:5432/waihu"),
        ("DATABASE_URL", "postgresql://waihu:s3cr/et!Pw@127.0.0.1:5432/waihu"),
        ("DATABASE_URL", "postgresql://waihu:s3cr#et!Pw@127.0.0.1:5432/waihu"),
        ("REDIS_URL", "redis://:s3cr@et!Pw@127.0.0.1:6379/0"),
    ],
)
def test_a_password_with_marks_in_it_is_to_be_encoded_and_not_shown(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"WAIHU_{name}: .*%40") as raised:
        settings(tmp_path, **{name: value})
    assert "et!Pw" not in str(raised.value)
    assert settings(tmp_path, DATABASE_URL="postgresql://waihu:s3cr%40et@db/waihu").database_url.endswith("@db/waihu")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"WAIHU_MAX_CALLS=\xff\xfe\n")
    with pytest.raises(SettingsError, match="UTF-8"):
        load({}, tmp_path)


@given(st.text(max_size=60))
def test_no_text_makes_a_parser_raise_anything_but_value_error(text: str) -> None:
    for parse in (
        values.duration,
        values.durations,
        values.boolean,
        values.positive,
        values.zone,
        values.callers,
        values.listen,
        values.url("http", "redis"),
    ):
        try:
            parse(text)
        except ValueError:
            pass


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("10m", 600.0), ("2h", 7200.0), ("1d", 86400.0), (" 7 ", 7.0)]
)
def test_durations_take_a_unit_and_are_seconds_without_one(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


def test_callers_have_limits_of_their_own(tmp_path: Path) -> None:
    house = settings(tmp_path, CALLERS="0571:concurrency=5,cps=0.5; +8610:cps=2;95588")
    assert house.callers == (Caller("0571", 5, 0.5), Caller("+8610", 30, 2.0), Caller("95588", 30, 10.0))


@pytest.mark.parametrize(
    ("text", "listen"),
    [("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:8080", ("::1", 8080)), ("localhost:1", ("localhost", 1))],
)
def test_where_to_listen_is_host_and_port(text: str, listen: tuple[str, int]) -> None:
    assert values.listen(text) == listen


# --- listening beyond this machine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1"])
def test_loopback_needs_no_keys(tmp_path: Path, host: str) -> None:
    require_safe_listen(load({}, tmp_path), (host, 8899))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "127.example.com", "example.com"])
def test_listening_for_others_needs_keys_and_the_phone_secret(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="set WAIHU_API_KEYS and WAIHU_PHONE_SECRET first"):
        require_safe_listen(load({}, tmp_path), (host, 8899))
    with pytest.raises(SettingsError, match="set WAIHU_PHONE_SECRET first"):
        require_safe_listen(settings(tmp_path, API_KEYS="k"), (host, 8899))
    require_safe_listen(settings(tmp_path, API_KEYS="k", PHONE_SECRET="s"), (host, 8899))
