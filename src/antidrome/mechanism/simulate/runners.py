"""Where calls of a Python simulator are made (here, in guarded processes, on an executor), and what becomes of them."""

from __future__ import annotations

import dataclasses
import functools
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from antidrome.core.executor import map_tasks
from antidrome.mechanism.simulate.batch import Failure, Missing, SimulationBatch, judge
from antidrome.mechanism.simulate.detection import Found
from antidrome.mechanism.simulate.guarded import WorkerPool, WorkerSettings, pool_of_this_process
from antidrome.mechanism.simulate.outputs import in_order
from antidrome.mechanism.simulate.python_call import Call, Reply

OnRow = Callable[[int, np.ndarray, Failure | None], None]
SECONDS_A_BLOCK = 0.5
MAX_ROWS_A_BLOCK = 256


@dataclass(frozen=True)
class Block:
    """Rows that one worker does, one after the other or (many) in one call."""

    start: int
    theta: np.ndarray
    seeds: np.ndarray
    many: bool


class Place:
    """Where calls are made."""

    def replies(self, theta: np.ndarray, seeds: np.ndarray, many: bool) -> list[Reply]:
        """Replies of one block, in order; a single one with ``many``."""
        found: dict[int, Reply] = {}
        self.one_block(Block(0, theta, seeds, many), found.__setitem__)
        return [found[row] for row in sorted(found)]

    def blocks(self, theta: np.ndarray, seeds: np.ndarray, found: Found, collected: Collector) -> None:
        """All rows."""
        for block in _cut(theta, seeds, found):
            self.one_block(block, functools.partial(self.settle, block, collected))

    def settle(self, block: Block, collected: Collector, row: int, reply: Reply) -> None:
        """Hand on a reply; a batched call that failed is done again row by row, to find which one fails."""
        if not block.many:
            collected.add(block.start + row, reply)
        elif reply[0] == "values":
            collected.add_many(block.start, reply)
        else:
            for i in range(len(block.theta)):
                rows = slice(i, i + 1)
                single = Block(block.start + i, block.theta[rows], block.seeds[rows], True)
                self.one_block(single, lambda _, reply, start=single.start: collected.add_one_of_many(start, reply))

    @abstractmethod
    def one_block(self, block: Block, on_reply: Callable[[int, Reply], None]) -> None:
        """Do one block."""

    def close(self) -> None:
        """Let go of processes."""


class Here(Place):
    """In this process: fast to start, and without protection."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def one_block(self, block: Block, on_reply: Callable[[int, Reply], None]) -> None:
        if block.many:
            on_reply(0, self.call.many(block.theta, block.seeds))
            return
        for row, (theta, seed) in enumerate(zip(block.theta, block.seeds, strict=True)):
            on_reply(row, self.call.single(theta, int(seed)))


class Processes(Place):
    """Guarded workers of this machine, each served by a thread."""

    def __init__(self, settings: WorkerSettings, n_processes: int) -> None:
        self.settings, self.pool = settings, WorkerPool(settings)
        self.n_processes = n_processes

    def one_block(self, block: Block, on_reply: Callable[[int, Reply], None]) -> None:
        self.pool.run(block.theta, block.seeds, on_reply, many=block.many)

    def blocks(self, theta: np.ndarray, seeds: np.ndarray, found: Found, collected: Collector) -> None:
        def work(block: Block) -> None:
            self.one_block(block, functools.partial(self.settle, block, collected))

        with ThreadPoolExecutor(self.n_processes) as threads:
            try:
                for _ in map_tasks(work, _cut(theta, seeds, found, self.n_processes), executor=threads):
                    pass
            except BaseException:  # do not wait for simulations that nobody wants any more
                pool, self.pool = self.pool, WorkerPool(self.settings)
                pool.close()
                raise

    def close(self) -> None:
        self.pool.close()


class Elsewhere(Place):
    """Blocks on an executor, each in a guarded worker there."""

    def __init__(self, settings: WorkerSettings, executor: Executor) -> None:
        self.settings, self.executor = settings, executor

    def one_block(self, block: Block, on_reply: Callable[[int, Reply], None]) -> None:
        for row, reply in enumerate(next(iter(map_tasks(self._task, [block], executor=self.executor)))):
            on_reply(row, reply)

    def blocks(self, theta: np.ndarray, seeds: np.ndarray, found: Found, collected: Collector) -> None:
        blocks = list(_cut(theta, seeds, found, 8))

        def finished(index: int, replies: list[Reply]) -> None:
            for row, reply in enumerate(replies):
                self.settle(blocks[index], collected, row, reply)

        for _ in map_tasks(self._task, blocks, executor=self.executor, on_result=finished):
            pass

    @property
    def _task(self) -> Callable[[Block], list[Reply]]:
        return functools.partial(_run_block_there, self.settings)


def _run_block_there(settings: WorkerSettings, block: Block) -> list[Reply]:
    found: dict[int, Reply] = {}
    with pool_of_this_process(settings) as pool:
        pool.run(block.theta, block.seeds, found.__setitem__, many=block.many)
    return [found[row] for row in sorted(found)]


def _cut(theta: np.ndarray, seeds: np.ndarray, found: Found, n_workers: int = 1) -> list[Block]:
    """Blocks of about half a second, but enough of them for all workers; batches always have the same borders."""
    if found.batched:
        size = MAX_ROWS_A_BLOCK
    else:
        size = int(np.clip(SECONDS_A_BLOCK / max(found.seconds, 1e-6), 1, MAX_ROWS_A_BLOCK))
        size = max(1, min(size, len(theta) // (4 * n_workers)))
    return [
        Block(start, theta[start : start + size], seeds[start : start + size], found.batched)
        for start in range(0, len(theta), size)
    ]


class Collector:
    """Replies as they come, from several threads, into one batch."""

    def __init__(self, n: int, names: tuple[str, ...], missing: Missing, on_row: OnRow | None) -> None:
        self.features = np.full((n, len(names)), np.nan)
        self.failures: dict[int, Failure] = {}
        self.names, self.missing, self.on_row = names, missing, on_row
        self.lock = threading.Lock()

    def add(self, row: int, reply: Reply) -> None:
        if reply[0] == "failed":
            self._settle(row, np.full(len(self.names), np.nan), Failure(row, *reply[1:]))
            return
        values = in_order(reply[1], reply[3], self.names)
        if values is None:
            message = f"returned {len(reply[1])} features ({', '.join(reply[1][:5])}…), expected {len(self.names)}"
            message += f" ({', '.join(self.names[:5])}…)"
            self._settle(row, np.full(len(self.names), np.nan), Failure(row, "shape", message))
        else:
            judged = judge(values[None], self.missing)
            failure = dataclasses.replace(judged.failures[0], index=row) if judged.failures else None
            self._settle(row, judged.features[0], failure)

    def add_many(self, start: int, reply: Reply) -> None:
        _, names, units, values = reply
        for i, row in enumerate(values):
            self.add(start + i, ("values", names, units, row))

    def add_one_of_many(self, row: int, reply: Reply) -> None:
        self.add(row, reply if reply[0] == "failed" else (*reply[:3], reply[3][0]))

    def batch(self) -> SimulationBatch:
        valid = np.ones(len(self.features), bool)
        valid[list(self.failures)] = False
        return SimulationBatch(self.features, valid, tuple(self.failures[row] for row in sorted(self.failures)))

    def _settle(self, row: int, features: np.ndarray, failure: Failure | None) -> None:
        with self.lock:
            self.features[row] = features
            if failure is not None:
                self.failures[row] = failure
            if self.on_row is not None:
                self.on_row(row, features, failure)
