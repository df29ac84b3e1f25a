"""What must work in a browser's Python; run there, in a stand-in for it, and in an ordinary one.

The answers of `sample_answers` and `bare_answers` must be the same wherever they come from.
"""

import asyncio
import json
import math

LOOK_SECONDS = 0.02


async def sample_answers(folder):
    """Return what mdkit says of the sample: replay, study, backtest, tables, a recording of it."""
    import mdkit as md

    @md.strategy("depth")
    def lean(book, levels=3):
        return md.imbalance(book, levels)

    sample = md.sample()
    info = md.recording_info(sample)
    again = folder / "again.jsonl.gz"
    session = md.live(
        source=md.replay(sample, speed=None), strategies=[lean], record=again, name="replay"
    )
    receipt = await session.run()
    signals = session.signals()
    study = md.study(lean, sample, symbol="AAPL.US", horizons=["1s"])
    result = md.backtest(lean, sample)
    depth = session.frame("depth", "AAPL.US")
    return {
        "messages": info.messages,
        "complete": info.complete,
        "processed": receipt.totals["processed"],
        "balanced": receipt.balanced,
        "signals": len(signals),
        # Workers take turns between symbols as they please; an exact sum knows no order.
        "values": repr(math.fsum(signals["value"])),
        "mid": repr(math.fsum(depth["mid"])),
        "footprint": int(session.footprint("1s", "AAPL.US").shape[0]),
        "study": str(study),
        "equity": repr(math.fsum(result.equity.to_numpy().ravel())),
        "recorded": md.recording_info(again).messages,
        "same": md.read_recording(again)
        .frame("depth")
        .equals(md.read_recording(sample).frame("depth")),
    }


async def check_simulated(folder):
    """Run a live session on the simulated market: canvas, alert, metrics, recording."""
    import mdkit as md

    tape = folder / "live.jsonl.gz"
    told = []
    session = md.live(source="simulated", strategies=[md.strategies.pressure], record=tape)
    session.alert("received > 5", told.append)
    session.start()
    canvas = session.dashboard()
    # A browser's loop has no thread that could tell it of an event.
    while session.ledger()["processed"].sum() < 40 or not told:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    assert session.frame("depth").shape[0] > 0
    assert canvas.widget is not None
    receipt = await session.stop()
    assert receipt.balanced
    assert receipt.drained
    assert session.alerts()["state"].tolist() == ["told"]
    assert "mdkit_session_up" in session.prometheus()
    assert md.recording_info(tape).complete
    assert md.recording_info(tape).messages == receipt.totals["received"]
    explorer = md.explore(tape)
    await explorer.session.stop()


def check_refusals(folder):
    """What needs a thread, a socket or a process is refused in a sentence, before it is begun."""
    import mdkit as md

    def refused(call, kind, said):
        told = "nothing"
        try:
            call()
        except kind as error:
            told = str(error)
        assert said in told, told

    settings = md.errors.SettingsError
    session = md.live(source="simulated", name="refusals")
    refused(session.run_blocking, md.errors.SessionError, "await session.run(seconds)")
    assert not session.running
    refused(session.metrics_endpoint, md.errors.SessionError, "session.prometheus()")
    thread = md.live(source="simulated", name="thread", runner="thread")
    refused(thread.start, md.errors.SessionError, "no threads")
    assert not thread.running
    for source in ("demo", "kraken", "ws://127.0.0.1:9", "tickdb"):
        refused(lambda source=source: md.live(source=source), settings, "needs a socket")
    refused(lambda: md.live(["kraken:BTC/USD"]), settings, "a venue needs a socket")
    refused(md.Exchange().start, md.errors.ExchangeError, 'source="simulated"')
    refused(lambda: md.klines("AAPL.US", "1h"), settings, "md.read_klines(path)")
    refused(lambda: md.webhook("https://chat.example"), settings, "'notebook'")
    process = {"source": "simulated", "worker_kind": "process"}
    refused(lambda: md.live(**process), settings, "no processes")
    refused(lambda: md.verify(md.strategies.pressure, md.sample()), settings, "md.verify")


def check_default_is_simulated():
    """Without a key a session reads the simulated market, and says so."""
    import mdkit as md

    session = md.live(name="default")
    assert session.pipeline.source.name == "simulated market"


def bare_answers(sample):
    """Return what the parts that need neither numpy nor pandas say of the sample.

    `sample` is its path: all modules that can be imported, the file's text, its messages.
    """
    import hashlib
    import importlib
    import pkgutil
    from collections import Counter
    from pathlib import Path

    import mdkit
    from mdkit.recording.file.compression import compressor, read_chunks
    from mdkit.venues.registry import DEFAULT

    found = pkgutil.walk_packages(mdkit.__path__, "mdkit.", onerror=lambda name: None)
    imported, absent = [], set()
    for module in found:
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            absent.add(error.name.partition(".")[0])
        else:
            imported.append(module.name)
    faults = []
    text = b"".join(read_chunks(Path(sample), faults))
    writer = compressor(Path("again.jsonl.gz"))
    packed = writer.compress(text) + writer.flush() + writer.finish()
    again = Path("again.jsonl.gz")
    again.write_bytes(packed)
    raws = [line.partition(b"\t")[2] for line in text.splitlines() if b"\t" in line]
    router = DEFAULT.router(())
    channels = Counter(router.route(raw).channel for raw in raws)
    events = [event for raw in raws for event in DEFAULT.decode(raw)]
    # A plain sum is another one from Python 3.12 on.
    bids = math.fsum(event.bids[0][0] for event in events if hasattr(event, "bids") and event.bids)
    sizes = math.fsum(event.size for event in events if hasattr(event, "size"))
    return {
        "imported": sorted(imported),
        "absent": sorted(absent),
        "faults": faults,
        "text": hashlib.sha256(text).hexdigest(),
        "again": b"".join(read_chunks(again, faults)) == text,
        "channels": dict(sorted(channels.items())),
        "bids": repr(bids),
        "sizes": repr(sizes),
    }


def printed(answers):
    """Return answers as one line."""
    return json.dumps(answers, sort_keys=True)
