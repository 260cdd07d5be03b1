"""Sharing work out between threads, and the one number that governs how many there are."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_like as ours
from tests.both import compare
from tinygrad_like import blas, threads

LARGE = threads.LEAST_BYTES * 4


@pytest.fixture
def two() -> Iterator[None]:
    former = ours.get_num_threads()
    ours.set_num_threads(2)
    yield
    ours.set_num_threads(former)


class Pieces:
    """Notes who did which piece; the first piece waits until somebody else has done one, too."""

    def __init__(self, patience: float = 30.0) -> None:
        self.done: list[tuple[int, int, int]] = []
        self.patience = patience
        self.others = threading.Event()

    def __call__(self, start: int, stop: int) -> None:
        self.done.append((start, stop, threading.get_ident()))
        if start:
            self.others.set()
        else:
            self.others.wait(self.patience)

    @property
    def threads(self) -> set[int]:
        return {thread for _, _, thread in self.done}

    def covered(self) -> list[int]:
        return [i for start, stop, _ in sorted(self.done) for i in range(start, stop)]


# ----- The number ---------------------------------------------------------------------------------


@pytest.mark.parametrize("num", [0, -1, 1.5, True, None, "2"])
@pytest.mark.parametrize("name", ["set_num_threads", "set_num_interop_threads"])
def test_what_is_no_number_of_threads(name: str, num: Any) -> None:
    former = ours.get_num_threads(), ours.get_num_interop_threads()
    compare(lambda m: getattr(m, name)(num))
    with pytest.raises(RuntimeError, match=name):
        getattr(ours, name)(num)
    assert (ours.get_num_threads(), ours.get_num_interop_threads()) == former


def test_the_number_governs_blas(two: None) -> None:
    assert ours.get_num_threads() == 2
    assert blas.blas.get() == 2
    ours.set_num_threads(1)
    assert ours.get_num_threads() == 1
    assert blas.blas.get() == 1


def test_the_number_of_operations_at_once_is_only_noted() -> None:
    former = ours.get_num_interop_threads()
    ours.set_num_interop_threads(3)
    assert ours.get_num_interop_threads() == 3
    ours.set_num_interop_threads(former)


def at_start(environment: dict[str, str]) -> list[str]:
    """Return the number of threads, of BLAS's threads, and OpenBLAS's patience in a new process."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_THREAD_TIMEOUT")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    code = (
        "import ctypes, os, tinygrad_like as t; from tinygrad_like import blas\n"
        "library = ctypes.CDLL(blas._libraries()[0])\n"
        "patience = getattr(library, 'openblas_thread_timeout', lambda: 'hidden')()\n"
        "print(t.get_num_threads(), blas.blas.get(), patience, os.environ.get('OPENBLAS_THREAD_TIMEOUT'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=kept | environment,
    )
    return done.stdout.split()


unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals and fork")
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks OpenBLAS as it is on Linux")
asked = pytest.mark.skipif(
    sys.platform == "linux"
    and not hasattr(ctypes.CDLL(blas._libraries()[0]), "openblas_thread_timeout"),
    reason="NumPy's OpenBLAS hides its functions since NumPy 2.5",
)


@linux
def test_the_environment_says_how_many_there_are_at_first() -> None:
    assert at_start({"OMP_NUM_THREADS": "1"})[:2] == ["1", "1"]
    assert at_start({"OPENBLAS_NUM_THREADS": "1"})[:2] == ["1", "1"]
    assert at_start({"OMP_NUM_THREADS": "1,4", "OPENBLAS_NUM_THREADS": "1"})[:2] == ["1", "1"]
    count = str(threads._available())
    assert at_start({})[:2] == [count, count]
    assert at_start({"OMP_NUM_THREADS": "many"})[:2] == [count, count]


@linux
@asked
def test_idle_threads_of_blas_soon_sleep_unless_the_user_said_how_soon() -> None:
    assert at_start({})[2:] == ["20", "None"]
    assert at_start({"OPENBLAS_THREAD_TIMEOUT": "24"})[2:] == ["24", "24"]


@linux
@asked
def test_patience_is_left_alone_where_another_thread_may_be_multiplying() -> None:
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n"
        "from tinygrad_like import blas\n"
        "print(ctypes.CDLL(blas._libraries()[0]).openblas_thread_timeout())"
    )
    kept = {n: v for n, v in os.environ.items() if n != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept
    )
    assert done.stdout.strip() == "0"


def test_a_blas_that_is_not_known_is_left_alone(two: None, monkeypatch: Any) -> None:
    unknown = blas.Blas(["there is no such file", threads.os.__file__])
    assert unknown.get() is None
    monkeypatch.setattr(threads, "blas", unknown)
    ours.set_num_threads(3)
    assert ours.get_num_threads() == 3
    pieces = Pieces()
    threads.split(1000, pieces, LARGE)
    assert pieces.covered() == list(range(1000))
    assert len(pieces.threads) > 1
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads._at_start() == 5


# ----- Sharing out --------------------------------------------------------------------------------


def test_large_work_is_shared_out(two: None) -> None:
    pieces = Pieces()
    threads.split(1000, pieces, LARGE)
    assert pieces.covered() == list(range(1000))
    assert len(pieces.threads) == 2
    assert threading.get_ident() in pieces.threads


def test_pieces_are_the_same_every_time(two: None) -> None:
    found = set()
    for _ in range(20):
        pieces = Pieces(0)
        threads.split(997, pieces, LARGE)
        found.add(tuple(sorted(piece[:2] for piece in pieces.done)))
    assert len(found) == 1


@pytest.mark.parametrize("count", [*range(14), 100, 12345])
@pytest.mark.parametrize("num", [2, 3, 5])
def test_pieces(two: None, count: int, num: int) -> None:
    ours.set_num_threads(num)
    pieces = Pieces(0)
    threads.split(count, pieces, LARGE)
    sizes = [stop - start for start, stop, _ in sorted(pieces.done)]
    assert pieces.covered() == list(range(count))
    assert len(sizes) >= min(count, num)
    assert len(sizes) < 4 * num
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= max(1, count / num)


@pytest.mark.parametrize("small", [True, False])
def test_small_work_and_one_thread_stay_with_the_caller(two: None, small: bool) -> None:
    if not small:
        ours.set_num_threads(1)
    pieces = Pieces(0)
    threads.split(1000, pieces, threads.LEAST_BYTES - 1 if small else LARGE)
    assert pieces.done == [(0, 1000, threading.get_ident())]


def test_no_thread_is_started_twice(two: None) -> None:
    threads.split(1000, Pieces(), LARGE)
    count = threading.active_count()
    for _ in range(50):
        threads.split(1000, Pieces(0), LARGE)
    assert threading.active_count() == count
    assert all(t.daemon for t in threading.enumerate() if t.name == "tinygrad_like")


def test_work_is_done_where_no_thread_can_be_started(two: None, monkeypatch: Any) -> None:
    def refuse(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool", threads._Pool())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    pieces = Pieces(0)
    threads.split(1000, pieces, LARGE)
    assert pieces.covered() == list(range(1000))
    assert pieces.threads == {threading.get_ident()}


def test_work_inside_a_piece_stays_there(two: None) -> None:
    inner: list[Pieces] = []

    def work(start: int, stop: int) -> None:
        outer(start, stop)
        pieces = Pieces(0)
        threads.split(100, pieces, LARGE)
        inner.append(pieces)
        assert pieces.done == [(0, 100, threading.get_ident())]

    outer = Pieces()
    threads.split(1000, work, LARGE)
    assert len(outer.threads) == 2
    assert len(inner) == len(outer.done)


def test_several_callers_at_once(two: None) -> None:
    source = np.arange(200_000.0)
    wrong: list[Any] = []

    def call() -> None:
        for _ in range(30):
            out = np.zeros_like(source)
            threads.split(len(out), lambda a, b: np.sqrt(source[a:b], out=out[a:b]), LARGE)
            if not np.array_equal(out, np.sqrt(source)):
                wrong.append(out)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert blas.blas.get() == 2


def test_a_worker_that_comes_late_is_not_waited_for(two: None, monkeypatch: Any) -> None:
    given: list[Any] = []
    monkeypatch.setattr(threads._Worker, "_run", lambda self: given.append(self))  # never begins
    monkeypatch.setattr(threads, "_pool", threads._Pool())
    for _ in range(3):
        pieces = Pieces(0)
        threads.split(1000, pieces, LARGE)
        assert pieces.covered() == list(range(1000))
        assert pieces.threads == {threading.get_ident()}
    assert len(given) == 1


def test_a_task_taken_back_leaves_the_worker_ready(two: None) -> None:
    worker = threads._Worker()
    for _ in range(2000):  # some are taken back, some were begun
        seen: list[int] = []
        worker.give(lambda seen=seen: seen.append(1))
        worker.finish()
        assert len(seen) < 2
    begun = threading.Event()
    worker.give(begun.set)
    assert begun.wait(30)
    worker.finish()


# ----- BLAS and settings inside a piece -----------------------------------------------------------


def test_blas_uses_one_thread_while_pieces_run(two: None) -> None:
    seen: list[int | None] = []
    threads.split(1000, lambda a, b: seen.append(blas.blas.get()), LARGE)
    assert set(seen) == {1}
    assert blas.blas.get() == 2


def test_blas_goes_on_as_it_was_told_from_elsewhere(two: None) -> None:
    blas.blas.set(1)  # as the package threadpoolctl would
    threads.split(1000, Pieces(0), LARGE)
    assert blas.blas.get() == 1
    assert ours.get_num_threads() == 2


def test_the_number_may_change_while_pieces_run(two: None) -> None:
    threads.split(1000, lambda a, b: ours.set_num_threads(3), LARGE)
    assert blas.blas.get() == 3


def test_what_numpy_is_told_holds_in_every_piece(two: None) -> None:
    seen: dict[int, str] = {}
    pieces = Pieces()

    def work(start: int, stop: int) -> None:
        pieces(start, stop)
        seen[threading.get_ident()] = np.geterr()["invalid"]

    with np.errstate(invalid="raise"):
        threads.split(1000, work, LARGE)
    assert set(seen) == pieces.threads
    assert len(seen) == 2
    assert set(seen.values()) == {"raise"}


# ----- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_the_first_error_arrives(two: None, kind: type[BaseException]) -> None:
    for _ in range(20):
        done: list[int] = []

        def work(start: int, stop: int, done: list[int] = done) -> None:
            done.append(start)
            if start:
                raise kind(start)

        with pytest.raises(kind) as caught:
            threads.split(1000, work, LARGE)
        assert caught.value.args == (sorted(done)[1],)
        assert blas.blas.get() == 2
    pieces = Pieces()
    threads.split(1000, pieces, LARGE)
    assert len(pieces.threads) == 2


def test_nothing_is_held_afterwards(two: None) -> None:
    class Held:
        pass

    def run(fails: bool) -> weakref.ref[Any]:
        held, pieces = Held(), Pieces()

        def work(start: int, stop: int) -> None:
            pieces(start, stop)
            if fails and held is not None and start:
                raise ValueError(start)

        with contextlib.suppress(ValueError):
            threads.split(1000, work, LARGE)
        assert len(pieces.threads) == 2
        return weakref.ref(held)

    gc.disable()
    try:
        assert run(fails=False)() is None
        assert run(fails=True)() is None
    finally:
        gc.enable()


@unix
def test_an_interrupted_caller_leaves_its_workers_to_themselves(two: None) -> None:
    begun, ended = threading.Event(), threading.Event()
    caller = threading.get_ident()

    def work(start: int, stop: int) -> None:
        if threading.get_ident() == caller:
            begun.wait(30)
        else:
            begun.set()
            ended.wait(30)

    def interrupt() -> None:
        begun.wait(30)
        time.sleep(0.2)
        signal.pthread_kill(caller, signal.SIGINT)

    former = threads._pool
    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        threads.split(2, work, LARGE)
    helper.join()
    assert threads._pool is not former
    pieces = Pieces()
    threads.split(1000, pieces, LARGE)
    assert len(pieces.threads) == 2
    ended.set()


# ----- Other processes ----------------------------------------------------------------------------


@unix
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fork_has_workers_of_its_own(two: None) -> None:
    def work(start: int, stop: int) -> None:
        if start == 0:
            child = os.fork()
            if not child:  # the parent is in the middle of sharing out
                pieces = Pieces()
                threads.split(1000, pieces, LARGE)
                os._exit(0 if len(pieces.threads) == 2 else 1)
            children.append(child)

    children: list[int] = []
    threads.split(1000, work, LARGE)
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
    pieces = Pieces()
    threads.split(1000, pieces, LARGE)
    assert len(pieces.threads) == 2


def test_a_program_ends_with_its_workers_idle() -> None:
    code = (
        "from tinygrad_like import threads\n"
        "threads.set_num_threads(3)\n"
        "threads.split(100, lambda a, b: None, 1 << 30)\n"
        "print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
