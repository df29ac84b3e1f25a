"""The bounded queue between the socket and the strategies, and what it does when full.

Messages wait in one lane per symbol, and lanes are served in turn. A lane is held by one
worker at a time, so a symbol's messages are handled in order with any number of workers, and
a symbol that floods the queue cannot starve the others. One bound holds for all lanes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, Literal

from mdkit.errors import SessionError, SpillQuotaError
from mdkit.queue.arrivals import Arrivals
from mdkit.queue.channel import MESSAGE_BYTES, C, Lane, Message, OnLoss, count_out, take
from mdkit.queue.losses import conflate, drop, refuse
from mdkit.queue.policies import LOSSLESS, Overflow, check_bounds, check_overflow
from mdkit.queue.spill import SpillFile
from mdkit.queue.statistics import BufferStatistics


class Buffer(Generic[C]):
    """A bounded queue with lanes, batches and an overflow policy per channel.

    Args:
        maxsize: how many messages may wait in memory, over all lanes.
        overflow: what happens to a message that meets a full queue, for all channels or by
            channel (channels not named block):
            `"block"` suspends `put`, but only for `block_timeout` seconds after the queue
            filled up; then messages go to disk, in order, until the queue has caught up;
            `"spill"` sends them to disk at once;
            `"drop_oldest"` gives up the oldest waiting message of that channel, or the
            arriving one if none waits;
            `"drop_newest"` gives up the arriving message;
            `"conflate"` gives up all waiting messages of its symbol and channel, which the
            arriving snapshot replaces; failing that, those of the channel's other symbols
            that a newer waiting one replaces; failing that too, it blocks.
        block_timeout: in seconds; None waits without end.
        spill_quota_bytes: how much may wait on disk. `put` raises `SpillQuotaError` beyond.
        clock_ns: tells the age of messages; must tick in the time of `received_ns`.
        groups: lanes are dealt out to so many groups in turn; each `get` serves one group.

    For one event loop; no method may be called from another thread.
    """

    def __init__(
        self,
        maxsize: int = 10_000,
        overflow: Overflow | Mapping[str, Overflow] = "block",
        *,
        block_timeout: float | None = 30.0,
        spill_quota_bytes: int = 1 << 30,
        clock_ns: Callable[[], int] | None = None,
        groups: int = 1,
    ) -> None:
        check_bounds(maxsize, block_timeout)
        self.maxsize = maxsize
        self.block_timeout = block_timeout
        self.spill = SpillFile(spill_quota_bytes)
        self._policies = check_overflow(overflow)
        self._clock_ns = clock_ns
        self._lanes: dict[str, Lane[C]] = {}
        self._channels: list[C] = []
        # By group.
        self._ready: list[deque[Lane[C]]] = [deque() for _ in range(groups)]
        self._getters: list[deque[asyncio.Future[None]]] = [deque() for _ in range(groups)]
        self._putters: deque[asyncio.Future[None]] = deque()
        self._arrivals: Arrivals[C] = Arrivals(2 * maxsize + 1024)
        self._depth = 0
        self._peak = 0
        self._full_since: float | None = None
        self._low_water = maxsize // 2
        self._blocked_seconds = 0.0
        self._overflows = 0
        self._closed = False
        self.on_loss: OnLoss | None = None

    # -- channels -------------------------------------------------------------------------

    def add(self, channel: C, *, lane: str | None = None) -> None:
        """Make room for a channel's messages, in its symbol's lane unless another is named."""
        key = channel.symbol if lane is None else lane
        home = self._lanes.get(key)
        if home is None:
            home = self._lanes[key] = Lane(key, len(self._lanes) % len(self._ready))
        channel.lane = home
        channel.policy = self.policy(channel.kind)
        channel.index = len(self._channels)
        home.channels.append(channel)
        self._channels.append(channel)

    def policy(self, channel: str) -> Overflow:
        """Return the overflow policy of a channel."""
        return self._policies.get(channel, self._policies["*"])

    # -- in -------------------------------------------------------------------------------

    async def put(self, message: Message[C]) -> None:
        """Put one message; may suspend. See `put_many`."""
        await self.put_many((message,))

    async def put_many(self, messages: Sequence[Message[C]]) -> None:
        """Put messages in order, by each one's policy; suspend where that says to block.

        Raises `SpillQuotaError` when the disk quota is met. When that, or cancellation, cuts
        it short, the messages not yet taken are counted as received and dropped.
        """
        if self._closed:
            raise SessionError("The queue is closed; no more messages can be put.")
        done = 0
        try:
            while done < len(messages):
                room = 0 if self.spill else self.maxsize - self._depth
                if room > 0:
                    fitting = messages[done : done + room]
                    self._enter(fitting)
                    done += len(fitting)
                else:
                    await self._overflow(messages[done])
                    done += 1
        finally:
            for message in messages[done:]:
                refuse(message, self.on_loss)
            self._peak = max(self._peak, self._depth)
            self._wake_getters()
            # Conflating may have made room for others; a cancelled put hands its turn on.
            self._wake_putters()

    def _enter(self, messages: Sequence[Message[C]], *, is_back: bool = False) -> None:
        """Let messages wait in memory; those that are back from disk were counted before."""
        for message in messages:
            channel = message[0]
            lane = channel.lane
            if not is_back:
                channel.received += 1
                channel.admitted += 1
            channel.queued += 1
            lane.messages.append(message)
            if not (lane.scheduled or lane.held):
                lane.scheduled = True
                self._ready[lane.group].append(lane)
            if channel.policy == "drop_oldest":
                self._arrivals.note(channel)
        self._depth += len(messages)

    async def _overflow(self, message: Message[C]) -> None:
        """Put a message that came while memory was full or others waited on disk.

        `_decide` tells four cases apart, and waiting is the only one that suspends:

        1. "spill": messages of its lane wait on disk, which it may not overtake, or its policy
           is to go there;
        2. "refuse": its policy gives up the newest, or the oldest and there is none to give up;
        3. "wait": its policy blocks, or conflates and there is nothing that it replaces. After
           `block_timeout` it goes to disk; so it does if others went there while it waited;
        4. "enter": there is room, perhaps made by giving up older ones.
        """
        channel = message[0]
        action = self._decide(channel)
        if action == "wait":
            has_room = await self._wait_for_space()
            action = "spill" if not has_room or self._is_behind_disk(channel) else "enter"
        if action == "enter":
            self._enter((message,))
        elif action == "spill":
            self._spill(message)
        else:
            refuse(message, self.on_loss)

    def _decide(self, channel: C) -> Literal["enter", "spill", "refuse", "wait"]:
        """Return what becomes of a channel's message; make room where its policy says how."""
        if self._is_behind_disk(channel):
            return "spill"
        if self._depth < self.maxsize:
            return "enter"
        self._overflows += 1
        match channel.policy:
            case "spill":
                return "spill"
            case "drop_newest":
                return "refuse"
            case "drop_oldest":
                return "enter" if self._drop_oldest(channel.channel) else "refuse"
            case "conflate":
                return "enter" if self._conflate(channel) else "wait"
            case _:
                return "wait"

    def _is_behind_disk(self, channel: C) -> bool:
        """Whether only the disk keeps the order: of its lane, or of a policy that loses nothing."""
        return bool(self.spill) and (channel.policy in LOSSLESS or bool(channel.lane.spilled))

    async def _wait_for_space(self) -> bool:
        """Suspend until the queue has room; False when the time to block is over."""
        self._wake_getters()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while self._depth >= self.maxsize:
                if self._full_since is None:  # again, where another producer took the room
                    self._full_since = loop.time()
                left = None
                if self.block_timeout is not None:
                    left = self._full_since + self.block_timeout - loop.time()
                    if left <= 0:
                        return False
                room: asyncio.Future[None] = loop.create_future()
                self._putters.append(room)
                try:
                    await asyncio.wait_for(room, left)
                except TimeoutError:
                    return False
                finally:
                    if room in self._putters:
                        self._putters.remove(room)
            return True
        finally:
            self._blocked_seconds += loop.time() - began

    def _spill(self, message: Message[C]) -> None:
        channel, raw, received_ns, place = message
        try:
            self.spill.append(channel.index, received_ns, raw, place)
        except SpillQuotaError:
            if channel.policy in LOSSLESS:
                raise
            refuse(message, self.on_loss)
            return
        channel.received += 1
        channel.admitted += 1
        channel.spilled += 1
        channel.lane.spilled += 1

    def _refill(self) -> None:
        """Bring spilled messages back, oldest first, while there is room."""
        for index, received_ns, raw, place in self.spill.take(
            min(self.maxsize - self._depth, 1024)
        ):
            channel = self._channels[index]
            channel.spilled -= 1
            channel.lane.spilled -= 1
            self._enter(((channel, raw, received_ns, place),), is_back=True)
        if not self.spill:
            self._full_since = None

    # -- making room ----------------------------------------------------------------------

    def _drop_oldest(self, name: str) -> bool:
        """Drop the oldest message of the channels of a name; False when none waits."""
        channel = self._arrivals.oldest(name)
        if channel is None:
            return False
        drop(channel, self.on_loss)
        self._depth -= 1
        return True

    def _conflate(self, channel: C) -> bool:
        """Give up what a newer snapshot replaces; False when there is nothing of the kind."""
        freed = conflate(channel, self.on_loss, keep=0)
        if not freed:
            for other in self._channels:
                if other.channel == channel.channel and other.queued > 1:
                    freed += conflate(other, self.on_loss, keep=1)
        self._depth -= freed
        return freed > 0

    # -- out ------------------------------------------------------------------------------

    async def get(
        self, limit: int = 256, group: int = 0
    ) -> tuple[Lane[C], list[Message[C]]] | None:
        """Take up to `limit` messages of the lane whose turn it is, suspending while none waits.

        The messages count as in flight, and the lane is held: nobody else is given its
        messages until `release(lane)`. Returns None when the buffer is closed and empty.
        """
        ready, getters = self._ready[group], self._getters[group]
        while True:
            if self.spill and (self._depth <= self._low_water or not ready):
                self._refill()
                self._wake_getters()  # there may be work for more than this one
            lanes, batch = self.get_several(limit, group, most_lanes=1)
            if batch:
                return lanes[0], batch
            if self._closed and not self._depth and not self.spill:
                return None
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            getters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in getters:
                    getters.remove(waiter)
                elif waiter.cancelled() or ready:
                    # Woken, but perhaps cancelled before it could act: pass the wake-up on.
                    self._wake_getters()

    def get_several(
        self, limit: int = 256, group: int = 0, *, most_lanes: int | None = None
    ) -> tuple[list[Lane[C]], list[Message[C]]]:
        """Take up to `limit` messages that wait in memory, of as many lanes as it takes."""
        ready = self._ready[group]
        lanes: list[Lane[C]] = []
        batch: list[Message[C]] = []
        while ready and len(batch) < limit and len(lanes) != most_lanes:
            lane = ready.popleft()
            lane.scheduled = False
            waiting = lane.messages
            if not waiting:
                continue  # all were given up since the lane was scheduled
            lane.held = True
            lanes.append(lane)
            if len(waiting) == 1:  # as with many symbols, where this loop has to be quick
                message = waiting.popleft()
                count_out(message[0], 1)
                batch.append(message)
            else:
                batch += take(lane, limit - len(batch))
        self._depth -= len(batch)
        if self._full_since is not None and self._depth <= self._low_water:
            self._full_since = None
        if self._putters:
            self._wake_putters()
        return lanes, batch

    def release(self, lane: Lane[C], unfinished: Iterable[Message[C]] = ()) -> None:
        """Give a lane back after `get`; `unfinished` messages go to its front, in order."""
        back = list(unfinished)
        for message in back:
            count_out(message[0], -1)
        lane.messages.extendleft(reversed(back))
        self._depth += len(back)
        self.release_all((lane,))

    def release_all(self, lanes: Iterable[Lane[C]]) -> None:
        """Give lanes back of which everything taken is finished."""
        for lane in lanes:
            lane.held = False
            if lane.messages and not lane.scheduled:
                lane.scheduled = True
                self._ready[lane.group].append(lane)
        if self._closed and not self._depth and not self.spill:
            self._wake_getters(everyone=True)
        else:
            self._wake_getters()

    def close(self) -> None:
        """Take no more messages; `get` goes on until all waiting ones are out."""
        self._closed = True
        self._wake_getters(everyone=True)

    def stop_blocking(self) -> None:
        """Let suspended producers go on: what finds no room goes to disk from now on."""
        self.block_timeout = 0.0
        for waiter in self._putters:
            if not waiter.done():
                waiter.set_result(None)
        self._putters.clear()

    def discard(self) -> None:
        """Remove the overflow files. Messages left in memory stay counted as queued."""
        self.spill.close()

    def leftovers(self) -> Iterable[Message[C]]:
        """Yield what still waits, lane by lane and then from disk; for a last save.

        Reading empties the overflow file, while the counts stay as they are: the messages
        were never processed.
        """
        for lane in self._lanes.values():
            yield from lane.messages
        for index, received_ns, raw, place in self.spill.take(len(self.spill)):
            yield self._channels[index], raw, received_ns, place

    def places(self) -> Iterator[int]:
        """Yield the places of what still waits, in memory and on disk; all of it stays."""
        for lane in self._lanes.values():
            for message in lane.messages:
                yield message[3]
        yield from self.spill.places()

    def statistics(self) -> BufferStatistics:
        """Return a look at the buffer now."""
        oldest = min(
            (lane.messages[0][2] for lane in self._lanes.values() if lane.messages), default=None
        )
        age = 0.0
        if oldest is not None and self._clock_ns is not None:
            age = max(0.0, (self._clock_ns() - oldest) / 1e9)
        return BufferStatistics(
            depth=self._depth,
            maxsize=self.maxsize,
            peak=max(self._peak, self._depth),
            waiting_producers=len(self._putters),
            oldest_age=age,
            spilled=len(self.spill),
            spilled_bytes=self.spill.unread_bytes,
            blocked_seconds=self._blocked_seconds,
            overflows=self._overflows,
        )

    def memory_bytes(self) -> int:
        """Return what the messages that wait in memory take, their objects included."""
        return sum(
            MESSAGE_BYTES + len(message[1])
            for lane in self._lanes.values()
            for message in lane.messages
        )

    def __len__(self) -> int:
        return self._depth

    def __repr__(self) -> str:
        s = self.statistics()
        return (
            f"<Buffer {s.depth:,} of {s.maxsize:,} waiting, peak {s.peak:,}, "
            f"{s.spilled:,} on disk, {len(self._lanes)} lanes, "
            f"{sum(map(len, self._getters))} workers idle, {s.waiting_producers} producers waiting>"
        )

    def _wake_getters(self, everyone: bool = False) -> None:
        for ready, getters in zip(self._ready, self._getters, strict=True):
            wanted = len(getters) if everyone else len(ready)
            while getters and wanted > 0:
                waiter = getters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    wanted -= 1

    def _wake_putters(self) -> None:
        room = self.maxsize - self._depth
        while self._putters and room > 0:
            waiter = self._putters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
