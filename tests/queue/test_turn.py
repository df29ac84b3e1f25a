"""A turn goes to one at a time, in order, and past those that have given up waiting."""

import asyncio

from mdkit.queue.turn import Turn


def test_it_is_passed_on_in_order_and_past_who_gave_up():
    async def main():
        turn, had, inside = Turn(), [], 0

        async def work(name):
            nonlocal inside
            if turn.taken:
                await turn.wait()
            turn.taken = True
            try:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                had.append(name)
            finally:
                inside -= 1
                turn.end()

        tasks = [asyncio.create_task(work(name)) for name in "abcde"]
        await asyncio.sleep(0)
        tasks[1].cancel()  # while it waits
        await tasks[0]
        tasks[2].cancel()  # when it was passed on to it, perhaps before it knows
        await asyncio.gather(*tasks, return_exceptions=True)
        assert had in (["a", "c", "d", "e"], ["a", "d", "e"])
        assert not turn.taken
        await work("f")
        assert had[-1] == "f"

    asyncio.run(main())
