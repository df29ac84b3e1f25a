"""The options of a session: the arguments of `live`, checked once, wherever a session is made."""

import dataclasses
import inspect
import pickle

import pytest

import mdkit as md
from mdkit.api import live as door
from mdkit.errors import SettingsError
from mdkit.session.options import SessionOptions
from mdkit.settings import Settings

KEY = "open-sesame-4711"
ELSEWHERE = {"client", "shards"}
GIVEN = {
    "symbols": ("A", "B"),
    "channels": ("depth", "trade"),
    "source": "ws://127.0.0.1:9",
    "api_key": KEY,
    "strategies": [md.strategies.pressure],
    "workers": 3,
    "worker_kind": "process",
    "maxsize": 17,
    "overflow": {"depth": "conflate"},
    "block_timeout": 2.5,
    "max_retries": 5,
    "on_error": "raise",
    "runner": "thread",
    "bars": "1m",
    "warmup": 4,
    "backfill": False,
    "record": "never-made.jsonl",
    "rows": 200,
    "levels": 7,
    "allow_nonpositive": True,
    "name": "all given",
    "settings": Settings(worker_count=2),
}


def _fields():
    return {field.name: field for field in dataclasses.fields(SessionOptions) if field.init}


def test_options_and_live_have_the_same_arguments_and_defaults():
    asked = inspect.signature(md.live).parameters
    fields = _fields()
    assert [name for name in asked if name not in ELSEWHERE] == list(fields)
    for name in fields.keys() - {"settings"}:  # None in `live`: those of the environment
        assert asked[name].default == fields[name].default, name


def test_live_passes_every_argument_on(monkeypatch):
    assert GIVEN.keys() == _fields().keys()
    defaults = SessionOptions()
    for name, value in GIVEN.items():
        assert value != getattr(defaults, name), f"{name} would not be missed"
    monkeypatch.setattr(door, "open_session", lambda options: options)
    options = md.live(**GIVEN)
    assert {name: getattr(options, name) for name in GIVEN} == GIVEN
    assert vars_of(options.pipeline) == {
        "workers": 3,
        "worker_kind": "process",
        "maxsize": 17,
        "overflow": {"depth": "conflate"},
        "block_timeout": 2.5,
        "spill_quota_bytes": Settings().spill_quota_bytes,
        "max_retries": 5,
        "on_error": "raise",
        "frame_rows": 200,
        "levels": 7,
        "interval": "1m",
        "made_of": "trade",
        "warmup": 4,
        "allow_nonpositive": True,
    }


def vars_of(options):
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def test_what_is_left_out_is_settled_from_the_settings():
    settings = Settings(worker_count=7, max_queue_depth=11, heartbeat_interval=3.0)
    pipeline = SessionOptions(settings=settings).pipeline
    assert (pipeline.workers, pipeline.maxsize, pipeline.block_timeout) == (7, 11, 3.0)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("symbols", [], "symbols is empty"),
        ("channels", (), "channels is empty"),
        ("runner", "fork", "runner='fork'"),
        ("workers", 0, "workers=0"),
        ("maxsize", 0, "maxsize=0"),
        ("block_timeout", -1, "block_timeout=-1"),
        ("max_retries", -1, "max_retries=-1"),
        ("overflow", {"depth": "shrug"}, "overflow='shrug'"),
        ("rows", 0, "capacity is 0"),
        ("levels", 0, "levels is 0"),
        ("warmup", 5, "warmup=5"),
    ],
)
def test_options_check_themselves_when_made_and_when_changed(name, value, said):
    with pytest.raises(SettingsError, match=said):
        SessionOptions(**{name: value})
    fine = SessionOptions()
    with pytest.raises(SettingsError, match=said):
        dataclasses.replace(fine, **{name: value})
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(fine, name, value)


def test_what_was_checked_cannot_be_changed_from_outside():
    policies = {"depth": "conflate"}
    options = SessionOptions(overflow=policies)
    policies["depth"] = "shrug"
    assert options.overflow == {"depth": "conflate"}


def test_channels_follow_from_strategies_and_bars(capsys):
    assert SessionOptions().subscribed_channels == ("depth",)
    assert SessionOptions(bars="1m").subscribed_channels == ("depth", "trade")
    assert SessionOptions(channels="ticker", bars="1m").subscribed_channels == ("ticker",)
    assert capsys.readouterr().out == ""

    @md.strategy("trade")
    def price(trade):
        return trade.price

    added = SessionOptions(strategies=[price])
    assert added.subscribed_channels == ("depth", "trade")
    assert "trade is subscribed to as well" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="would never be"):
        SessionOptions(strategies=[price], channels=["depth"])
    # What was settled once is not said again by whoever passes it on.
    again = dataclasses.replace(added, channels=added.subscribed_channels)
    assert again.subscribed_channels == added.subscribed_channels
    assert capsys.readouterr().out == ""


def test_options_travel_and_show_no_key():
    options = SessionOptions(**GIVEN)
    there = pickle.loads(pickle.dumps(dataclasses.replace(options, strategies=())))
    assert there.api_key == KEY
    assert there.pipeline == options.pipeline
    assert there.subscribed_symbols == ("A", "B")
    assert there.settings == options.settings
    assert KEY not in repr(options) + repr(there)
