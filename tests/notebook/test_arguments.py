"""A strategy that nothing would call is told of before anything starts."""

import pytest

import mdkit as md
from mdkit.errors import SettingsError


@md.strategy("trade")
def flow(trade):
    return trade.size


@md.strategy("ticker", "trade")
def either(event):
    return 1.0


def _channels(session):
    return list(dict.fromkeys(channel for channel, _ in session.pipeline.source.subscriptions))


def test_what_it_is_called_with_is_subscribed_to_as_well_and_said(capsys):
    session = md.live(["AAPL.US"], source="demo", strategies=[flow], name="called")
    assert _channels(session) == ["depth", "trade"]
    assert "trade is subscribed to as well, since strategy flow" in capsys.readouterr().out
    session = md.live(
        ["AAPL.US"], source="demo", strategies=[either, md.strategies.pressure], name="called"
    )
    assert _channels(session) == ["depth", "ticker"]


def test_nothing_is_added_where_one_of_its_kinds_comes(capsys):
    session = md.live(["AAPL.US"], source="demo", strategies=[md.messages(print)], name="called")
    assert _channels(session) == ["depth"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("source", ["demo", "ws://127.0.0.1:9", md.Exchange(["AAPL.US"])])
def test_channels_that_were_named_are_not_changed(source):
    with pytest.raises(SettingsError, match=r"flow is called with trade messages.*add 'trade' to"):
        md.live(["AAPL.US"], source=source, channels=["depth"], strategies=[flow])
    with pytest.raises(SettingsError, match=r"either is called with ticker and trade messages"):
        md.live(["AAPL.US"], source=source, channels="depth", strategies=[either])


def test_strategies_of_bars_need_bars_whatever_the_source(list_source):
    for source in ("demo", list_source([])):
        with pytest.raises(SettingsError, match=r'SmaCross is called with bars.*bars="1m"'):
            md.live(source=source, strategies=[md.strategies.SmaCross])
    session = md.live(source="demo", strategies=[md.strategies.SmaCross], bars="1m", name="called")
    assert _channels(session) == ["depth", "trade"]


def test_a_source_of_your_own_brings_what_it_brings(list_source):
    assert md.live(source=list_source([]), strategies=[flow], name="called")


@pytest.mark.parametrize("given", [{"workers": "auto"}, {"worker_kind": "auto"}])
def test_workers_are_not_chosen_by_a_rehearsal_and_the_error_says_what_is(given):
    (name,) = given
    told = rf'{name}="auto" does not exist.*leave it out.*diagnose\(\)\.advice says whether'
    with pytest.raises(SettingsError, match=told):
        md.live(["AAPL.US"], source="demo", **given)


def test_a_kind_of_workers_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(SettingsError, match=r"'threads' does not exist.*\"task\" or \"process\""):
        md.live(["AAPL.US"], source="demo", worker_kind="threads")
