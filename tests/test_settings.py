"""The environment's variables, their defaults, and one clear sentence when one is wrong."""

import json
import pickle
import traceback

import pydantic
import pytest

from mdkit.errors import AuthenticationError, MdkitError, SettingsError
from mdkit.settings import Settings

KEY = "sk-very-secret-0123456789"


def test_the_defaults_are_the_articles():
    settings = Settings()
    assert settings.tickdb_ws_url == "wss://api.tickdb.ai/v1/realtime"
    assert settings.tickdb_rest_url == "https://api.tickdb.ai/v1"
    assert settings.tickdb_api_key is None
    assert settings.max_queue_depth == 10_000
    assert settings.worker_count == 4
    assert settings.reconnect_base_delay == 1.0
    assert settings.reconnect_max_delay == 60.0
    assert settings.heartbeat_interval == 30.0
    assert settings.subscribed_symbols == ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("TICKDB_WS_URL", "wss://example.org/v1/market/ws", "wss://example.org/v1/market/ws"),
        ("TICKDB_REST_URL", "http://127.0.0.1:1/v1/", "http://127.0.0.1:1/v1"),
        ("MAX_QUEUE_DEPTH", "5", 5),
        ("WORKER_COUNT", "2", 2),
        ("RECONNECT_BASE_DELAY", "0.5", 0.5),
        ("RECONNECT_MAX_DELAY", "5", 5.0),
        ("HEARTBEAT_INTERVAL", "10", 10.0),
        ("SUBSCRIBED_SYMBOLS", " A.US , B.HK,A.US", ("A.US", "B.HK")),
        ("SPILL_QUOTA_BYTES", "0", 0),
        ("REST_CALLS_PER_MINUTE", "600", 600),
    ],
)
def test_every_variable_is_honoured_and_code_overrides_it(monkeypatch, variable, text, value):
    default = getattr(Settings(), variable.lower())
    monkeypatch.setenv(variable, text)
    assert getattr(Settings(), variable.lower()) == value != default
    assert getattr(Settings(**{variable.lower(): default}), variable.lower()) == default


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("WORKER_COUNT", "")
    monkeypatch.setenv("TICKDB_API_KEY", "")
    assert Settings().worker_count == 4
    assert Settings().tickdb_api_key is None


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("MAX_QUEUE_DEPTH", "-1"),
        ("MAX_QUEUE_DEPTH", "0"),
        ("MAX_QUEUE_DEPTH", "1.5"),
        ("WORKER_COUNT", "many"),
        ("WORKER_COUNT", "0"),
        ("RECONNECT_BASE_DELAY", "0"),
        ("RECONNECT_BASE_DELAY", "nan"),
        ("RECONNECT_MAX_DELAY", "inf"),
        ("HEARTBEAT_INTERVAL", "-3"),
        ("HEARTBEAT_INTERVAL", "soon"),
        ("TICKDB_WS_URL", "https://example.org"),
        ("TICKDB_REST_URL", "wss://example.org"),
        ("SUBSCRIBED_SYMBOLS", "AAPL.US,,MSFT.US"),
        ("SUBSCRIBED_SYMBOLS", ","),
        ("SPILL_QUOTA_BYTES", "-1"),
    ],
)
def test_a_wrong_value_is_one_sentence_naming_variable_and_value(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as caught:
        Settings()
    told = str(caught.value)
    assert told.startswith(f"{variable}=")
    assert text in told
    assert told.endswith(".")
    assert "\n" not in told
    assert "pydantic" not in told
    assert caught.value.__cause__ is None
    assert isinstance(caught.value, MdkitError)
    assert isinstance(caught.value, ValueError)


def test_several_wrong_values_are_all_named(monkeypatch):
    monkeypatch.setenv("MAX_QUEUE_DEPTH", "-1")
    monkeypatch.setenv("WORKER_COUNT", "many")
    with pytest.raises(SettingsError, match=r"MAX_QUEUE_DEPTH='-1' .*; WORKER_COUNT='many' "):
        Settings()


def test_delays_in_the_wrong_order_name_both():
    with pytest.raises(SettingsError, match=r"RECONNECT_MAX_DELAY \(1 s\).*RECONNECT_BASE_DELAY"):
        Settings(reconnect_base_delay=2, reconnect_max_delay=1)


@pytest.mark.parametrize("value", [None, 5, [], ["A", ""], True])
def test_symbols_of_the_wrong_type_are_a_settings_error(value):
    with pytest.raises(SettingsError, match="SUBSCRIBED_SYMBOLS"):
        Settings(subscribed_symbols=value)


def test_an_unknown_setting_lists_the_known_ones():
    with pytest.raises(SettingsError, match=r"worker_cuont is not a setting; .*worker_count"):
        Settings(worker_cuont=3)


def test_settings_do_not_change():
    settings = Settings()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.worker_count = 3


def test_the_key_is_a_secret_wherever_settings_are_shown(monkeypatch):
    monkeypatch.setenv("TICKDB_API_KEY", KEY)
    settings = Settings()
    assert settings.require_key() == KEY
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        repr(settings.model_dump()),
        json.dumps(settings.model_dump(mode="json")),
        repr(settings.model_copy(update={"worker_count": 2})),
        repr(pickle.loads(pickle.dumps(settings))),
        f"{settings.tickdb_api_key}",
    ]
    for text in shown:
        assert KEY not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"tickdb_api_key": [KEY]},
        {"tickdb_api_key": {"key": KEY}},
        {"tickdb_api_key": KEY, "worker_count": 0},
        {"tickdb_api_key": KEY, "reconnect_base_delay": 2, "reconnect_max_delay": 1},
        {"tickdb_api_kye": KEY},
    ],
)
def test_the_key_is_in_no_error(wrong):
    with pytest.raises(SettingsError) as caught:
        Settings(**wrong)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("variable", ["TICKDB_WS_URL", "TICKDB_REST_URL"])
def test_a_key_in_a_url_is_in_no_error(monkeypatch, variable):
    monkeypatch.setenv(variable, f"ftp://example.org/v1?api_key={KEY}")
    with pytest.raises(SettingsError, match=variable) as caught:
        Settings()
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_missing_key_says_how_to_set_it_or_do_without():
    with pytest.raises(AuthenticationError, match=r'TICKDB_API_KEY.*source="demo"'):
        Settings().require_key()
