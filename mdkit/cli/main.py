"""The command line: `mdkit demo`, `mdkit serve`, `mdkit lab`, `mdkit explore`, `mdkit doctor`, and
(in `recordings`) `mdkit record`, `mdkit replay`, `mdkit info`, and (in `history`)
`mdkit klines`, `mdkit backtest`, `mdkit sweep`.

Exit codes: 0 done, 1 an error told in one sentence, 2 wrong usage, 3 the API key was refused.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mdkit.cli import history, recordings, research
from mdkit.cli.venues import PUBLIC_VENUES, check_market_is_public
from mdkit.errors import AuthenticationError, MdkitError, SettingsError
from mdkit.extras import install_hint

if TYPE_CHECKING:
    from mdkit.exchange import Fault

app = typer.Typer(
    name="mdkit",
    help="A live order book in your terminal and notebook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for _command in (
    recordings.record,
    recordings.replay,
    recordings.info,
    history.klines,
    history.backtest,
    history.sweep,
    research.study,
):
    app.command()(_command)

_Symbols = Annotated[
    str | None,
    typer.Option(
        help="Symbols separated by commas; default: five US stocks, or two pairs of a venue."
    ),
]
_Scenario = Annotated[str, typer.Option(help="calm, steady, busy, open or flood.")]
_Opening = Annotated[
    int | None,
    typer.Option(help="With --scenario open: depth messages in its first second, to 100000."),
]
_Seed = Annotated[int, typer.Option(help="The same seed gives the same market.")]
_Replay = Annotated[
    Path | None, typer.Option(help="Play this recording (.jsonl or .jsonl.gz) instead.")
]
_Faults = Annotated[
    list[str] | None,
    typer.Option(
        help="What goes wrong: kind@seconds, and where need be ,name=value, such as drop@2.0 or "
        "stall@2,duration=3; may be given several times. An unknown kind lists them all."
    ),
]
_Hours = Annotated[
    str | None,
    typer.Option(help="us: trade from 9:30 to 16:00 in New York only; default: always."),
]
_Speed = Annotated[
    float, typer.Option(help="How many times as fast as the clock; 0: as fast as possible.")
]
_Dialect = Annotated[
    str,
    typer.Option(
        help=f"Whose wire is spoken: tickdb, {PUBLIC_VENUES}. Symbols of the latter as BTC/USD."
    ),
]


@app.command()
def demo(
    seconds: Annotated[
        float | None,
        typer.Option(help="How long; default: 15, or to the end of a recording.", min=0.1),
    ] = None,
    symbols: _Symbols = None,
    replay: _Replay = None,
    speed: _Speed = 1.0,
    scenario: _Scenario = "steady",
    opening: _Opening = None,
    seed: _Seed = 7,
    hours: _Hours = None,
    venue: _Dialect = "tickdb",
    source: Annotated[
        str | None,
        typer.Option(
            help="A real market in place of the embedded exchange, public and without a key: "
            f"{PUBLIC_VENUES}."
        ),
    ] = None,
    fault: _Faults = None,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            help="Watch this in place of pressure: of md.strategies, or my_file.py:lean; may be "
            "given several times.",
        ),
    ] = None,
    bars: Annotated[
        str | None,
        typer.Option(help='Fold trades into bars such as "1m", for strategies of bars.'),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the chart and tables.")] = Path(
        "mdkit-demo"
    ),
) -> None:
    """Run the embedded exchange and watch its order-book pressure; no key, no network.

    With --venue it speaks the wire of a public venue; with --source that venue itself is watched.
    """
    from mdkit.cli.strategies import named_strategy
    from mdkit.cli.terminal import run_demo
    from mdkit.exchange import Exchange

    watched = [named_strategy(name) for name in strategy or []]
    if source is not None:
        ours = {
            **{"venue": venue != "tickdb", "replay": replay is not None, "speed": speed != 1.0},
            **{"scenario": scenario != "steady", "opening": opening is not None},
            **{"seed": seed != 7, "hours": hours is not None, "fault": bool(fault)},
        }
        check_market_is_public(source, [name for name, given in ours.items() if given])
        run_demo(source, seconds or 15.0, out, watched, bars, _split(symbols))
        return
    exchange = Exchange(
        _split(symbols),
        venue=venue,
        replay=replay,
        speed=speed,
        scenario=scenario,
        opening=opening,
        seed=seed,
        hours=hours,
        faults=_faults(fault),
    )
    if seconds is None and replay is None:
        seconds = 15.0
    run_demo(exchange, seconds, out, watched, bars)


@app.command()
def serve(
    symbols: _Symbols = None,
    replay: _Replay = None,
    speed: _Speed = 1.0,
    scenario: _Scenario = "steady",
    opening: _Opening = None,
    seed: _Seed = 7,
    hours: _Hours = None,
    rate: Annotated[
        float | None, typer.Option(help="Depth messages a second, in place of the scenario's.")
    ] = None,
    loop: Annotated[bool, typer.Option(help="Play a recording again and again.")] = False,
    host: Annotated[str, typer.Option(help="The address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free port.", min=0, max=65535)] = 8765,
    key: Annotated[
        str | None, typer.Option(help="Refuse whoever does not send this API key.")
    ] = None,
    venue: _Dialect = "tickdb",
    fault: _Faults = None,
) -> None:
    """Run the embedded exchange until Ctrl-C, for other programs to connect to."""
    from mdkit.exchange import configure, serve_forever

    config = configure(
        _split(symbols),
        venue=venue,
        replay=replay,
        speed=speed,
        scenario=scenario,
        opening=opening,
        seed=seed,
        hours=hours,
        rate=rate,
        loop=loop,
        host=host,
        port=port,
        api_key=key,
        faults=_faults(fault),
    )

    def announce(text: str) -> None:
        print(text, flush=True)

    asyncio.run(serve_forever(config, announce=announce))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    options_metavar="[FOLDER] [JUPYTER'S OPTIONS]",
)
def lab(context: typer.Context) -> None:
    """Open JupyterLab in a folder of notebooks: the one named first, ./notebooks, or this one.

    Everything else goes to JupyterLab as it is, such as --port 9999 or --no-browser. As root, as
    in a container, --allow-root is added.
    """
    import importlib.util
    import subprocess

    command = _lab_command(context.args)
    if importlib.util.find_spec("jupyterlab") is None:
        raise MdkitError(f"JupyterLab is not installed: {install_hint('lab')}.")
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def explore(
    path: Annotated[Path, typer.Argument(help="The recording.")],
    strategy: Annotated[
        list[str] | None,
        typer.Option(help="A strategy of mdkit to run on it; may be given several times."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser as well.")] = True,
) -> None:
    """Open a recording on the live canvas in JupyterLab: scrub bar, play, pause, speed, jumps.

    Writes a notebook beside the recording, explore_NAME.ipynb, unless it is there already.
    """
    import importlib.util
    import subprocess

    from mdkit.cli.explore import write_notebook
    from mdkit.recording.reading.files import RecordingFiles
    from mdkit.strategies import ALL
    from mdkit.suggestions import instead

    for name in strategy or ():
        if name not in ALL:
            raise SettingsError(f"--strategy {name} is unknown: {instead(name, ALL)}.")
    RecordingFiles(path)  # raises, before anything is written, for what is no recording
    if importlib.util.find_spec("jupyterlab") is None:
        raise MdkitError(f"JupyterLab is not installed: {install_hint('lab')}.")
    notebook, is_new = write_notebook(path, strategy or [], path.resolve().parent)
    kept = "" if is_new else " was there already, and is opened as it is"
    print(f"notebook {notebook}{kept}")
    rest = [] if browser else ["--no-browser"]
    command = [*_lab_command([str(notebook.parent), *rest])]
    if browser:
        command.append(f"--LabApp.default_url=/lab/tree/{notebook.name}")
    raise typer.Exit(subprocess.run(command, check=False).returncode)


def _lab_command(given: list[str]) -> list[str]:
    """Return what starts JupyterLab with what the command line gives."""
    where, rest = Path("notebooks"), given
    if given and not given[0].startswith("-"):
        where, rest = Path(given[0]), given[1:]
        if not where.is_dir():
            raise SettingsError(f"There is no folder {where}: name one, or leave it out.")
    elif not where.is_dir():
        where = Path()
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    more = ["--allow-root"] if is_root and "--allow-root" not in rest else []
    start = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={where.resolve()}"]
    return [*start, *more, *rest]


@app.command()
def doctor(
    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Try for a few seconds which public venues can be reached from here."
        ),
    ] = False,
) -> None:
    """Show versions, what is installed, and combinations known to be bad.

    With --online it tells instead which public venues answer, by REST and on their feeds, what
    arrives and whether the book is proven; the exit code is 0 where one answers and 1 where none
    does.
    """
    if online:
        from mdkit.cli import online as tries
        from mdkit.cli.online_feeds import feed_attempts

        results = tries.attempt_all([*tries.rest_attempts(), *feed_attempts()])
        print(tries.heading())
        for result in sorted(results, key=lambda result: result.venue):
            print(result)
        print(tries.conclusion(results))
        if not any(result.reached for result in results):
            raise typer.Exit(1)
        return
    from mdkit.cli.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(1)


def _faults(given: list[str] | None) -> list[Fault]:
    """Return the faults that texts such as "stall@2,duration=3" mean."""
    from mdkit.exchange.faults.faults import make_fault

    faults = []
    for text in given or []:
        head, *pairs = text.split(",")
        kind, at, seconds = head.partition("@")
        params = {"at": seconds} if at else {}
        for pair in pairs:
            name, sign, value = pair.partition("=")
            if not sign or not name:
                raise SettingsError(
                    f"--fault {text} is not usable: write kind@seconds,name=value, such as "
                    "stall@2,duration=3."
                )
            params[name.strip()] = value.strip()
        faults.append(make_fault(kind.strip(), params))
    return faults


def _split(symbols: str | None) -> list[str] | None:
    if symbols is None:
        return None
    return [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]


def _version(asked: bool) -> None:
    if asked:
        from mdkit import __version__

        print(f"mdkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command line; errors become one sentence and an exit code."""
    code: Any = 0
    try:
        code = app(arguments, standalone_mode=True)
    except AuthenticationError as error:
        print(f"mdkit: {error}", file=sys.stderr)
        code = 3
    except MdkitError as error:
        print(f"mdkit: {error}", file=sys.stderr)
        code = 1
    except OSError as error:
        print(f"mdkit: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
