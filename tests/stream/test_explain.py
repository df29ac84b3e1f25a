"""What the sentence says of a loop that stood still."""

import asyncio

import pytest

import mdkit as md
from mdkit.stream.health import Sample


def blocked_for(seconds):
    idle = dict.fromkeys(Sample.__slots__, 0)
    return Sample(**{**idle, "at": 1.0, "lag": seconds, "maxsize": 100})


@pytest.mark.parametrize(
    ("runner", "blamed", "advised"),
    [("notebook", "other code in this thread", True), ("thread", "other threads", False)],
)
def test_a_thread_is_advised_to_those_who_have_none(runner, blamed, advised, list_source):
    async def main():
        source = list_source([], ends=False)
        session = md.live(source=source, runner=runner, name="blocked").start()
        session.pipeline.monitor.add(blocked_for(0.7))
        said = session.explain()
        await session.stop()
        return said

    said = asyncio.run(main())
    assert f"blocked for 0.7 s by {blamed}" in said
    assert ('runner="thread"' in said) is advised
