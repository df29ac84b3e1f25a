"""`mdkit study` on the command line."""

import pytest

import mdkit as md
from mdkit.cli.main import main


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "market.jsonl.gz"
    source = md.Simulated(rate=400.0, count=4000, speed=0)
    session = md.live("AAPL.US", source=source, channels=["depth", "trade"], record=path)
    session.run_blocking()
    return path


def told(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(["study", *map(str, words)])
    return ended.value.code, *capsys.readouterr()


@pytest.mark.outer
def test_a_study_prints_a_sentence_and_tables_and_writes_a_page(capsys, recording, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = told(
        capsys, recording, "--measure", "imbalance", "--horizons", "1ms, 5ms", "--out", page
    )
    assert code == 0
    found = md.study(md.imbalance, recording, ("1ms", "5ms"))
    assert out.splitlines()[0] == repr(found)
    assert f"{found.ic['ic']['1ms']:.3f}" in out
    assert "IC by horizon" in out
    assert "data:image/png" in page.read_text()


def test_measures_have_parameters_and_may_be_several(capsys, recording, tmp_path):
    strategy = tmp_path / "mine.py"
    strategy.write_text(
        'import mdkit as md\n\n@md.strategy("depth")\ndef lean(book, levels=3):\n'
        "    return md.imbalance(book, levels)\n"
    )
    code, out, err = told(
        capsys, recording, "-m", "OFI", "-m", f"{strategy}:lean", "-p", "levels=2",
        "--horizons", "1ms",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "of 2 measures" in out or "none of" in out
    assert f"{strategy}:lean" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "imbalanc"), "imbalance"),
        (("-m", "imbalance", "-p", "level=2"), "levels"),
        (("-m", "VPIN"), "needs --set bucket"),
        (("-m", "imbalance", "-p", "levels"), "name=value"),
        (("--horizons", "soon"), "horizon is 'soon'"),
        (("--symbol", "NOPE"), "'NOPE'"),
        (("--out", "page.txt"), ".png or .html"),
    ],
)
def test_what_cannot_be_is_one_sentence(capsys, recording, words, said):
    code, _, err = told(capsys, recording, *words)
    assert code == 1
    assert said in err
    assert err.startswith("mdkit: ")
    assert err.count("\n") == 1
