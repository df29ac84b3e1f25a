"""What a notebook does to a session, in a real kernel: busy cells, interrupts, re-runs, restarts.

The exchange runs in a process of the tests', so that it can tell what it saw of the client. Kernel
and exchange serve all tests, unless one needs a kernel in which nothing has happened.
"""

from __future__ import annotations

import re
import time

import pytest

pytest.importorskip("ipykernel")
jupyter_client = pytest.importorskip("jupyter_client")

import mdkit as md  # noqa: E402

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("kernel")]

BUSY_SECONDS = 3
KEEPALIVE = 9
"""Seconds; a busy cell takes a third of it, as one of 10 s does of the usual 30."""


class Kernel:
    """A real kernel, and the text that cells run in it print."""

    def __init__(self) -> None:
        self.manager = jupyter_client.KernelManager(kernel_name="python3")
        self.manager.start_kernel(extra_arguments=["--HistoryManager.enabled=False"])
        self.connect()

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str, *, fails: bool = False, timeout: float = 90) -> str:
        """Run a cell and return what it showed; fail on an error unless one is expected."""
        shown: list[str] = []

        def show(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                shown.append(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(content["traceback"])))

        reply = self.client.execute_interactive(code, output_hook=show, timeout=timeout)
        while reply["content"]["status"] == "aborted":  # shortly after another cell's error
            reply = self.client.execute_interactive(code, output_hook=show, timeout=timeout)
        text = "".join(shown)
        assert reply["content"]["status"] == ("error" if fails else "ok"), text
        return text

    def interrupt(self, code: str) -> None:
        """Send a cell, interrupt it once the kernel runs it, and wait for its end."""
        sent = self.client.execute(f"print('begun', flush=True)\n{code}")
        while True:
            message = self.client.get_iopub_msg(timeout=30)
            if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == sent:
                break
        self.manager.interrupt_kernel()
        while self.client.get_shell_msg(timeout=60)["parent_header"]["msg_id"] != sent:
            pass

    def clear(self) -> None:
        """End what cells have begun and forget their names."""
        self.run(
            "import ipywidgets, mdkit.session.opening as opening\n"
            "for one in list(opening._sessions.values()):\n"
            "    await one.stop() if one.running else None\n"
            "ipywidgets.Widget.close_all()"
        )
        self.run("%reset -f\nimport asyncio")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture
def fresh_kernel():
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture(scope="module")
def shared_kernel():
    kernel = Kernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared_kernel):
    yield shared_kernel
    shared_kernel.clear()


@pytest.fixture(scope="module")
def exchange():
    options = {"scenario": "steady", "keepalive": KEEPALIVE}
    with md.Exchange(["AAPL.US", "MSFT.US"], **options) as exchange:
        yield exchange


def begin(exchange, *, name="default", runner="notebook", more=""):
    return f"""
import mdkit as md
session = md.live(
    ["AAPL.US", "MSFT.US"], source={exchange.ws_url!r}, name={name!r}, runner={runner!r},
    strategies=[md.strategies.pressure],
    settings=md.Settings(heartbeat_interval={KEEPALIVE}), {more}
).start()
"""


SETTLE = """
import asyncio
while {name}.stats()["messages"]["received"] < {count}:
    await asyncio.sleep(0.01)
"""


def settle(count=20, name="session"):
    return SETTLE.format(count=count, name=name)


def test_what_a_dashboard_needs_is_loaded_before_anything_streams(fresh_kernel, exchange):
    loaded = "print([n in sys.modules for n in ('mdkit.views.dashboard.dashboard', 'pandas')])"
    assert "[False, False]" in fresh_kernel.run("import sys, mdkit\n" + loaded)
    assert "[True, True]" in fresh_kernel.run(begin(exchange) + loaded)


def test_a_busy_cell_stalls_the_notebooks_loop_but_costs_no_connection(kernel, exchange):
    kernel.run(begin(exchange, name="in loop"))
    kernel.run("in_loop = session\n" + begin(exchange, name="in thread", runner="thread"))
    kernel.run("in_thread = session\n" + settle(name="in_loop") + settle(name="in_thread"))
    # The strategy's own clock: both sessions are in one kernel, and one cell keeps it busy.
    kernel.run(
        "import time\n"
        "before = {s.name: s.stats()['messages']['received'] for s in (in_loop, in_thread)}\n"
        f"time.sleep({BUSY_SECONDS})\n"
        "during = {\n"
        "    'in loop': in_loop.pipeline.ledger.totals()['received'] - before['in loop'],\n"
        "    'in thread': in_thread.stats()['messages']['received'] - before['in thread'],\n"
        "}",
        timeout=BUSY_SECONDS + 60,
    )
    assert kernel.run("print(during['in loop'], during['in thread'] > 0)").split() == ["0", "True"]
    kernel.run(
        "while in_loop.pipeline.monitor.longest_block < 2: await asyncio.sleep(0.05)\n"
        "late = before['in loop']\n"
        "while in_loop.stats()['messages']['received'] <= late: await asyncio.sleep(0.05)"
    )
    told = kernel.run("print(in_loop.explain())")
    assert "blocked for" in told
    assert 'runner="thread" avoids it' in told
    blocked = kernel.run("print(in_thread.pipeline.monitor.blocks)")
    assert blocked.strip() == "0"
    facts = kernel.run(
        "for s in (in_loop, in_thread):\n"
        "    t = s.stats()\n"
        "    print(t['connects'], t['disconnects'], len(s.gaps()), t['messages']['dropped'])"
    )
    assert facts.split() == ["1", "0", "0", "0"] * 2
    receipts = kernel.run("print(await in_loop.stop())\nprint(await in_thread.stop())")
    assert receipts.count("nothing left") == 2
    assert receipts.count("the ledger balances") == 2


def test_what_a_blocked_loop_cost_is_told(kernel, exchange):
    kernel.run(begin(exchange) + settle())
    kernel.run("import time; time.sleep(2)")
    kernel.run("while session.pipeline.monitor.late is None: await asyncio.sleep(0.05)", timeout=30)
    assert re.search(r"messages came late", kernel.run("print(session.explain())"))


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_interrupting_a_cell_leaves_the_feed_alive(kernel, exchange, runner):
    kernel.run(begin(exchange, runner=runner) + settle())
    kernel.interrupt("import time; time.sleep(60)")
    kernel.run("before = session.stats()['messages']['received']")
    kernel.interrupt("await session.run(60)")
    kernel.run(
        "while session.stats()['messages']['received'] <= before + 20:\n"
        "    await asyncio.sleep(0.01)\n"
    )
    assert kernel.run("print(session.running, session.stats()['connects'])").split() == [
        "True",
        "1",
    ]


def test_interrupting_a_stop_does_not_break_it(kernel, exchange):
    kernel.run(begin(exchange) + settle())
    kernel.interrupt("await session.stop()\nwhile True: await asyncio.sleep(0.05)")
    assert "the ledger balances" in kernel.run("print(await session.stop())")


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_running_a_cell_again_replaces_the_session(kernel, exchange, runner, wait_until):
    cell = begin(exchange, runner=runner) + "session.dashboard()"
    connected = exchange.statistics()["connections_total"]
    kernel.run(cell)
    kernel.run(settle())
    kernel.run("import ipywidgets\nwidgets = len(ipywidgets.widgets.widget._instances)")
    for again in range(2):
        kernel.run("old = session\n" + cell)
        kernel.run(settle())
        wait_until(lambda: exchange.statistics()["connections"] == 1)
        assert exchange.statistics()["connections_total"] == connected + again + 2
        assert kernel.run("print(old.state)").strip() == "stopped"
    kernel.run(
        "while len(ipywidgets.widgets.widget._instances) > widgets: await asyncio.sleep(0.05)"
    )
    names = kernel.run(
        "print(sorted(t.get_name() for t in asyncio.all_tasks() if 'mdkit' in t.get_name()))"
    )
    assert names.count("mdkit canvas") == (1 if runner == "notebook" else 0)
    assert names.count("mdkit producer") == (1 if runner == "notebook" else 0)


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_restarting_the_kernel_closes_the_connection(fresh_kernel, exchange, runner, wait_until):
    fresh_kernel.run(begin(exchange, runner=runner) + settle())
    wait_until(lambda: exchange.statistics()["connections"] == 1)
    fresh_kernel.client.stop_channels()
    fresh_kernel.manager.restart_kernel(now=False)
    wait_until(lambda: exchange.statistics()["connections"] == 0)
    fresh_kernel.connect()
    fresh_kernel.run(begin(exchange, runner=runner) + settle())
    assert exchange.statistics()["connections"] == 1


def test_the_page_may_ask_from_another_thread(kernel, exchange):
    kernel.run(begin(exchange) + "board = session.dashboard()")
    kernel.run(settle())
    kernel.run(
        "import threading\n"
        "def ask(**content):\n"
        "    call = lambda: board.widget._handle_custom_msg(content, [])\n"
        "    thread = threading.Thread(target=call)\n"
        "    thread.start(); thread.join()\n"
        "ask(kind='hello')\n"
        "while board.pictures < 2: await asyncio.sleep(0.01)\n"
        "ask(kind='ack', n=board.widget.number)\n"
        "ask(kind='pause', on=True)\n"
        "while board.paused_ms is None: await asyncio.sleep(0.01)\n"
        "drawn, before = board.pictures, session.stats()['messages']['received']\n"
        "while session.stats()['messages']['received'] < before + 50: await asyncio.sleep(0.01)\n"
    )
    assert kernel.run("print(board.pictures - drawn)").strip() == "0"
    kernel.run(
        "ask(kind='pause', on=False)\nwhile board.pictures == drawn: await asyncio.sleep(0.01)"
    )
    kernel.run("ask(kind='stop')\nwhile session.running: await asyncio.sleep(0.01)")
    assert kernel.run("print(session.state)").strip() == "stopped"


def test_without_an_answer_a_plain_picture_takes_the_canvas_place(kernel, exchange):
    kernel.run(begin(exchange) + "board = session.dashboard()\nboard")
    kernel.run(settle())
    # Silence counts only while no cell runs: the answers of a page wait behind a cell.
    kernel.run("await asyncio.sleep(4)\nassert board._plain.box is None")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = kernel.run(
            "print(board._plain.box is not None and len(board._plain.box.children[1].value))"
        )
        if told.strip() not in ("False", "0"):
            break
        time.sleep(4)  # in which no cell runs
    assert "did not answer" in kernel.run("print(board._plain.box.children[0].value)")
    assert kernel.run("print(bytes(board._plain.box.children[1].value)[1:4])").strip() == "b'PNG'"
    kernel.run("board.widget._handle_custom_msg({'kind': 'hello'}, [])")
    kernel.run("while not board._plain._task.done(): await asyncio.sleep(0.05)", timeout=60)
    kernel.run("board.close()\nassert board._plain.box is None")


@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_twenty_runs_of_a_cell_leave_as_many_widgets_as_one(kernel, exchange, runner):
    cell = begin(exchange, runner=runner) + "session.dashboard()"
    kernel.run("import gc, weakref, ipywidgets\nseen = []\n" + cell)
    kernel.run(settle())
    count = "gc.collect(); print(len(ipywidgets.widgets.widget._instances))"
    before = kernel.run(count)
    for _ in range(20):
        kernel.run(cell)
    kernel.run(
        "while len(ipywidgets.widgets.widget._instances) > "
        f"{int(before)}: await asyncio.sleep(0.05)",
        timeout=60,
    )
    names = kernel.run("print([t.get_name() for t in asyncio.all_tasks()])")
    assert names.count("mdkit canvas") <= 1


COUNT = """
gc.collect()
def alive(kind):
    return [one for one in gc.get_objects() if isinstance(one, kind)]
print(
    len(ipywidgets.widgets.widget._instances), len(comm.get_comm_manager().comms),
    len(alive(CanvasWidget)), len(alive(Pipeline)), threading.active_count(),
    *map(len, get_ipython().events.callbacks.values()), len(alive(Ring)),
)
"""


def test_twenty_runs_leave_as_many_listeners_and_bytes_as_one(kernel, exchange, wait_until):
    """IPython's `Out` holds on to every dashboard; none of them may hold on to its session.

    What takes memory are a pipeline's tables and a canvas's rings.
    """
    cell = begin(exchange) + "session.dashboard()"
    kernel.run(
        "import comm, gc, ipywidgets, threading\n"
        "from mdkit.canvas.rings import Ring\n"
        "from mdkit.canvas.widget import CanvasWidget\n"
        "from mdkit.pipeline.pipeline import Pipeline"
    )

    def run(times: int) -> None:
        for _ in range(times):
            kernel.run(cell)
        kernel.run(settle())

    def count() -> list[int]:
        return [int(word) for word in kernel.run(COUNT).split()]

    run(2)
    first = count()
    run(19)
    # The session before the last may be ending yet.
    wait_until(lambda: all(now <= then for now, then in zip(count(), first, strict=True)))
    assert kernel.run("print(len({id(one) for one in Out.values()}) >= 20)").strip() == "True"


def test_a_failure_in_the_background_shows_on_the_next_call(kernel, exchange):
    kernel.run(
        "import mdkit as md\n"
        "@md.strategy('depth')\n"
        "def broken(book):\n"
        "    raise ValueError('no such thing')\n"
        f"session = md.live(['AAPL.US'], source={exchange.ws_url!r}, strategies=[broken], "
        "on_error='raise').start()\n"
        "board = session.dashboard()"
    )
    kernel.run("import asyncio\nwhile session.running: await asyncio.sleep(0.01)")
    assert "no such thing" in kernel.run("session.ledger()", fails=True)
    assert "no such thing" in kernel.run("await board.last_picture()\nprint(board.still())")
    kernel.run("session.ledger()")  # told once; looking goes on


def test_prints_of_background_work_arrive_and_break_nothing(kernel, exchange):
    kernel.run(begin(exchange) + "session.on_signal(lambda signal: print('said', signal.symbol))")
    while True:  # they may arrive under any cell
        message = kernel.client.get_iopub_msg(timeout=30)
        if message["msg_type"] == "stream" and "said" in message["content"]["text"]:
            break
    assert "nothing left" in kernel.run("print(await session.stop())")


def test_blocking_in_a_cell_needs_no_patch(kernel, exchange):
    code = begin(exchange).replace(").start()", ")") + "print(session.run_blocking(1))"
    assert "the ledger balances" in kernel.run(code)
    assert kernel.run("import asyncio; print(asyncio.run.__module__)").strip() == "asyncio.runners"


def test_nested_loops_are_enabled_only_on_request(fresh_kernel):
    told = fresh_kernel.run(
        "import mdkit as md\n"
        "from mdkit.notebook.kernel import loses_cells, version_of\n"
        "from importlib.util import find_spec\n"
        "try:\n"
        "    print(md.enable_nested())\n"
        "except md.MdkitError as error:\n"
        "    print('refused:', error)\n"
        "else:\n"
        "    import asyncio\n"
        "    print(asyncio.run(asyncio.sleep(0, 'inside')))\n"
        "print(bool(find_spec('nest_asyncio2')), loses_cells(version_of('ipykernel')))"
    )
    *said, facts = told.strip().splitlines()
    if facts.startswith("True"):
        assert said == ["nest_asyncio2", "inside"]
    elif facts == "False True":
        assert said[0].startswith("refused:")
        assert "nest-asyncio2" in said[0]
    else:
        assert said == ["nest_asyncio", "inside"]


def test_the_feeds_process_ends_with_the_kernel(fresh_kernel, wait_until):
    import psutil

    pid = fresh_kernel.run(
        "import mdkit as md, asyncio\n"
        "session = md.live(['AAPL.US'], source='demo').start()\n"
        "while not session.stats()['messages']['received']: await asyncio.sleep(0.01)\n"
        "print(session.pipeline.source.exchange.pid)"
    )
    assert psutil.pid_exists(int(pid))
    fresh_kernel.manager.shutdown_kernel(now=False)
    wait_until(lambda: not psutil.pid_exists(int(pid)))


def test_time_is_not_spent_waiting_for_the_exchange(kernel):
    """start() returns at once; the exchange's process starts beside the notebook's loop."""
    took = kernel.run(
        "import mdkit as md, time\n"
        "session = md.live(['AAPL.US'], source='demo')\n"
        "session.start()\n"
        "print(session.pipeline.ledger.totals()['received'], session.state)"
    )
    assert took.split()[-2:] == ["0", "running"]
