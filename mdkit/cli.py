"""The command line: `mdkit demo`, `mdkit serve`, `mdkit lab`, `mdkit doctor`, and
(in `record_cli`) `mdkit record`, `mdkit replay`, `mdkit info`, and (in `history_cli`)
`mdkit klines`, `mdkit backtest`, `mdkit sweep`.

Exit codes: 0 done, 1 an error told in one sentence, 2 wrong usage, 3 the API key was refused.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mdkit import history_cli, record_cli
from mdkit.errors import AuthenticationError, MdkitError
from mdkit.extras import install_hint

app = typer.Typer(
    name="mdkit",
    help="A live order book in your terminal and notebook.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for _command in (
    record_cli.record,
    record_cli.replay,
    record_cli.info,
    history_cli.klines,
    history_cli.backtest,
    history_cli.sweep,
):
    app.command()(_command)

_Symbols = Annotated[
    str | None, typer.Option(help="Symbols separated by commas; default: five US stocks.")
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
_Speed = Annotated[float, typer.Option(help="Time scale; 0 is as fast as it is taken.")]


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
    out: Annotated[Path, typer.Option(help="Folder for the chart and tables.")] = Path(
        "mdkit-demo"
    ),
) -> None:
    """Run the embedded exchange and watch its order-book pressure; no key, no network."""
    from mdkit.exchange import Exchange
    from mdkit.notebook.terminal import run_demo

    exchange = Exchange(
        _split(symbols),
        replay=replay,
        speed=speed,
        scenario=scenario,
        opening=opening,
        seed=seed,
    )
    if seconds is None and replay is None:
        seconds = 15.0
    run_demo(exchange, seconds, out)


@app.command()
def serve(
    symbols: _Symbols = None,
    replay: _Replay = None,
    speed: _Speed = 1.0,
    scenario: _Scenario = "steady",
    opening: _Opening = None,
    seed: _Seed = 7,
    rate: Annotated[
        float | None, typer.Option(help="Depth messages a second, in place of the scenario's.")
    ] = None,
    loop: Annotated[bool, typer.Option(help="Play a recording again and again.")] = False,
    host: Annotated[str, typer.Option(help="The address to bind to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes any free port.", min=0, max=65535)] = 8765,
    key: Annotated[
        str | None, typer.Option(help="Refuse whoever does not send this API key.")
    ] = None,
) -> None:
    """Run the embedded exchange until Ctrl-C, for other programs to connect to."""
    from mdkit.exchange import configure, serve_forever

    config = configure(
        _split(symbols),
        replay=replay,
        speed=speed,
        scenario=scenario,
        opening=opening,
        seed=seed,
        rate=rate,
        loop=loop,
        host=host,
        port=port,
        api_key=key,
    )

    def announce(text: str) -> None:
        print(text, flush=True)

    asyncio.run(serve_forever(config, announce=announce))


@app.command()
def lab(
    folder: Annotated[Path, typer.Argument(help="Where your notebooks are.")] = Path("notebooks"),
) -> None:
    """Open JupyterLab in a folder of notebooks."""
    import importlib.util
    import subprocess

    if importlib.util.find_spec("jupyterlab") is None:
        raise MdkitError(f"JupyterLab is not installed: {install_hint('lab')}.")
    where = folder if folder.is_dir() else Path()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={where.resolve()}"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def doctor() -> None:
    """Tell versions, what is installed, and combinations known to be bad."""
    from mdkit.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(1)


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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version.")
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
