"""The metrics as text: what Prometheus's own parser reads is what the session says."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdkit as md
from mdkit.monitoring.exposition import Family, write
from mdkit.monitoring.exposition import labels as write_labels
from mdkit.queue.ledger import COLUMNS, ENDED, WAITING

parser = pytest.importorskip("prometheus_client.parser")
SYMBOLS = ["AAPL.US", "MSFT.US"]


def _parsed(text):
    """Return samples by (name, labels without the session), and the families."""
    families = list(parser.text_string_to_metric_families(text))
    samples = {}
    for family in families:
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "session"}
            key = (sample.name, frozenset(labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples, families


def _of(samples, name, **labels):
    return samples[f"mdkit_{name}", frozenset(labels.items())]


def test_the_text_says_what_the_session_says(until):
    @md.strategy("depth")
    def lean(book):
        return md.imbalance(book, 3)

    async def main():
        session = md.live(
            SYMBOLS, source="simulated", channels=["depth", "trade"], strategies=[lean], name="a"
        )
        async with session:
            await until(lambda: session.ledger()["processed"].sum() > 50)
        samples, families = _parsed(session.prometheus())
        ledger = session.ledger()
        for (symbol, channel), row in ledger.iterrows():
            labels = {"symbol": symbol, "channel": channel}
            received = _of(samples, "messages_received_total", **labels)
            assert received == row["received"]
            fates = [_of(samples, "messages_total", fate=name, **labels) for name in ENDED]
            waits = [_of(samples, "messages_waiting", place=name, **labels) for name in WAITING]
            assert fates + waits == [row[name] for name in COLUMNS[1:]]
            assert received == sum(fates + waits)
        assert _of(samples, "signals_total") == len(session.signals())
        assert _of(samples, "session_up") == 0
        assert _of(samples, "session_failed") == 0
        assert _of(samples, "queue_limit_messages") == 10_000
        assert _of(samples, "session_info", source="simulated market", version=md.__version__) == 1
        assert _of(samples, "strategy_slowest_seconds", strategy="lean") > 0
        assert all(s.labels["session"] == "a" for f in families for s in f.samples)

    asyncio.run(main())


def test_names_follow_the_rules_of_the_format():
    text = md.live(SYMBOLS, source="simulated", name="b").prometheus()
    _, families = _parsed(text)
    for line in text.splitlines():
        kind = re.fullmatch(r"# TYPE (\S+) (\S+)", line)
        if kind is not None:
            assert re.fullmatch(r"mdkit_[a-z][a-z_]*", kind[1])
            assert kind[1].endswith("_total") == (kind[2] == "counter")
            assert not re.search(r"_(ms|us|ns|kb|mb|minutes|percent)(_|$)", kind[1])
    assert all(family.documentation for family in families)
    assert len({family.name for family in families}) == len(families)
    assert text.endswith("\n")


@given(st.dictionaries(st.sampled_from(["symbol", "channel"]), st.text()), st.text())
def test_any_text_can_be_a_label(labels, name):
    text = "".join(
        write([Family("x", "gauge", 'of\\ any\n"text"', [(write_labels(**labels), 1.5)])], name)
    )
    (family,) = parser.text_string_to_metric_families(text)
    assert family.samples[0].labels == {**labels, "session": name}


@given(st.one_of(st.floats(), st.integers(-(10**18), 10**18)))
def test_any_number_can_be_a_value(value):
    text = "".join(write([Family("x", "gauge", "a number", [("", value)])], "s"))
    (family,) = parser.text_string_to_metric_families(text)
    assert family.samples[0].value == pytest.approx(float(value), rel=1e-12, nan_ok=True)


def test_alerts_are_counted(until):
    async def main():
        session = md.live(SYMBOLS, source="simulated", name="c")
        told = []
        session.alert("received > 0", told.append)
        async with session:
            await until(lambda: told)
        samples, _ = _parsed(session.prometheus())
        assert _of(samples, "alerts_total", state="told") == 1
        assert _of(samples, "alerts_total", state="failed") == 0

    asyncio.run(main())
