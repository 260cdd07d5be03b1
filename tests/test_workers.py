"""Worker processes of a `DataLoader`: what they give, how they fail, and that nothing is left of them."""

import itertools
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing import Pipe

import numpy as np
import pytest

import tinygrad_like as tg
from tinygrad_like.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info, sharing

linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs nameless files")
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    # Forking is asked for where it is: what torch does by default.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class Numbers(Dataset):
    def __init__(self, count=23):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return {"x": np.full(3, i, np.float32), "name": f"item {i}", "pair": (i, i / 2)}


class Large(Dataset):
    """Items of a megabyte."""

    def __init__(self, count=12):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return np.full(1 << 18, i, np.float32)


class Draws(Dataset):
    """Random numbers of every kind that a worker seeds."""

    def __init__(self, torch):
        self.torch = torch.__name__

    def __len__(self):
        return 6

    def __getitem__(self, i):
        torch = sys.modules[self.torch]
        info = torch.utils.data.get_worker_info()
        return [random.random(), np.random.rand(), torch.rand(1).item(), info.id, info.seed % 1000]  # noqa: NPY002


class Stream(IterableDataset):
    """Numbers, each worker giving its share."""

    def __init__(self, count=17):
        self.count = count

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.count, info.num_workers) if info else range(self.count))


class TwoWords(Exception):
    """An exception that a text alone does not make."""

    def __init__(self, first, second):
        super().__init__(first, second)


class Failing(Dataset):
    def __init__(self, how, at=5):
        self.how = how
        self.at = at

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == self.at:
            if self.how == "key":
                return {}["no such key"]
            if self.how == "custom":
                raise TwoWords("a", "b")
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exit":
                os._exit(3)
            if self.how == "hang":
                time.sleep(60)
            if self.how == "unpicklable":
                return lambda: i
        return i


class Pids(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return os.getpid()


class Writing(Dataset):
    """Writes to its own array."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return 4

    def __getitem__(self, i):
        self.array[i] += 1
        return float(self.array.sum())


def identity(batch):
    return batch


def fail_at_start(number):
    raise ValueError(f"worker {number} does not want to")


def set_environment(number):
    os.environ["TINYGRAD_LIKE_TEST_WORKER"] = f"worker {number}"


class Environment(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return os.environ.get("TINYGRAD_LIKE_TEST_WORKER", "none")


def plain(value):
    if hasattr(value, "tolist"):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def gone(pid):
    """Return True once there is no such process, or only its remains."""
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


# ----- What they give -----------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["spawn", "forkserver", "fork"])
def test_batches_are_those_made_without_workers(context):
    tg.manual_seed(3)
    expected = plain(list(DataLoader(Numbers(), 4, shuffle=True)))
    tg.manual_seed(3)
    loader = DataLoader(Numbers(), 4, shuffle=True, num_workers=2, multiprocessing_context=context)
    assert plain(list(loader)) == expected
    assert len(loader) == 6


def test_every_way_to_ask():
    def check(**options):
        tg.manual_seed(1)
        expected = plain(list(DataLoader(**options)))
        tg.manual_seed(1)
        assert plain(list(DataLoader(**options, num_workers=2))) == expected

    tensors = tg.utils.data.TensorDataset(tg.arange(30.0).reshape(10, 3), tg.arange(10))
    check(dataset=Numbers(), batch_size=None)
    check(dataset=tensors, batch_size=3, drop_last=True)
    check(dataset=tensors, batch_sampler=[[1, 2], [3], [0, 9]])
    check(dataset=Numbers(5), batch_size=2, collate_fn=identity, sampler=[4, 0, 2])


def test_the_order_of_shuffling_is_pytorchs():
    torch = pytest.importorskip("torch")
    tg.manual_seed(11)
    torch.manual_seed(11)
    mine = DataLoader(range(20), 3, shuffle=True, num_workers=2)
    theirs = torch.utils.data.DataLoader(range(20), 3, shuffle=True)
    for _ in range(2):
        assert [b.tolist() for b in mine] == [b.tolist() for b in theirs]
    assert tg.rand(1).item() == torch.rand(1).item()


def test_workers_draw_the_random_numbers_of_pytorchs():
    torch = pytest.importorskip("torch")
    drawn = []
    for package in (tg, torch):
        package.manual_seed(5)
        loader = package.utils.data.DataLoader(
            Draws(package), None, num_workers=2, multiprocessing_context="fork"
        )
        drawn.append(list(loader))
    assert drawn[0] == drawn[1]
    assert len({row[0] for row in drawn[0]}) == 6


def test_streams_are_taken_in_turn():
    assert sorted(DataLoader(Stream(), None, num_workers=2)) == list(range(17))
    torch = pytest.importorskip("torch")

    class TheirStream(torch.utils.data.IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            return iter(range(info.id, 17, info.num_workers))

    theirs = torch.utils.data.DataLoader(
        TheirStream(), 2, num_workers=3, multiprocessing_context="fork"
    )
    mine = DataLoader(Stream(), 2, num_workers=3, persistent_workers=True)
    for _ in range(2):
        assert [b.tolist() for b in mine] == [b.tolist() for b in theirs]


def test_workers_that_stay():
    loader = DataLoader(Pids(), None, num_workers=2, persistent_workers=True, prefetch_factor=1)
    first = set(loader)
    assert len(first) == 2
    assert os.getpid() not in first
    for _ in range(3):
        assert set(itertools.islice(loader, 3)) == first  # and the epoch is broken off
    assert set(loader) == first
    others = DataLoader(Pids(), None, num_workers=2)
    assert not set(others) & set(others)
    del loader
    assert all(gone(pid) for pid in first)


def test_as_they_come():
    loader = DataLoader(Numbers(9), 2, num_workers=2, in_order=False)
    found = sorted(name for batch in loader for name in batch["name"])
    assert found == [f"item {i}" for i in range(9)]


def test_a_worker_begins_as_it_is_told():
    loader = DataLoader(Environment(), 2, num_workers=2, worker_init_fn=set_environment)
    assert list(loader) == [["worker 0", "worker 0"], ["worker 1", "worker 1"]]
    assert get_worker_info() is None


# ----- How they fail ------------------------------------------------------------------------------


def test_an_exception_reaches_the_user_with_its_traceback():
    batches = iter(DataLoader(Failing("key"), 2, num_workers=2))
    assert next(batches).tolist() == [0, 1]
    assert next(batches).tolist() == [2, 3]
    with pytest.raises(KeyError) as caught:
        next(batches)
    assert "Caught KeyError in DataLoader worker process 0.\nOriginal Traceback" in str(
        caught.value
    )
    assert 'return {}["no such key"]' in str(caught.value)
    assert next(batches).tolist() == [6, 7]  # the others are not lost


def test_exceptions_of_every_kind():
    with pytest.raises(RuntimeError, match="Caught TwoWords in DataLoader worker process 1"):
        list(DataLoader(Failing("custom"), 1, num_workers=2))
    with pytest.raises(Exception, match="pickle"):
        list(DataLoader(Failing("unpicklable"), None, num_workers=1))
    with pytest.raises(ValueError, match=r"worker \d does not want to"):
        list(DataLoader(Numbers(), 2, num_workers=2, worker_init_fn=fail_at_start))


def test_a_worker_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match=r"worker \(pid \d+\) is killed by signal: SIGKILL"):
        list(DataLoader(Failing("kill"), 2, num_workers=2))
    with pytest.raises(RuntimeError, match=r"\(pid \d+\) exited unexpectedly with exit code 3"):
        list(DataLoader(Failing("exit"), 2, num_workers=2))


def test_a_worker_that_takes_too_long_is_an_error():
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="DataLoader timed out after 1 seconds"):
        list(
            DataLoader(
                Failing("hang", 0), 2, num_workers=1, timeout=1, multiprocessing_context="fork"
            )
        )
    assert time.monotonic() - start < 30


def test_what_cannot_be_sent_is_said_before_anything_starts():
    loader = DataLoader(Numbers(), 2, num_workers=2, collate_fn=lambda batch: len(batch))
    with pytest.raises(Exception, match=r"cannot be pickled: .*lambda.*define .*'fork'"):
        iter(loader)
    forked = DataLoader(
        Numbers(6),
        2,
        num_workers=2,
        collate_fn=lambda batch: len(batch),
        multiprocessing_context="fork",
    )
    assert list(forked) == [2, 2, 2]


def test_options_are_checked():
    def refused(error, match, **options):
        with pytest.raises(error, match=match):
            DataLoader(Numbers(), **options)

    refused(ValueError, "num_workers option should be non-negative", num_workers=-1)
    refused(ValueError, "timeout option should be non-negative", num_workers=1, timeout=-1)
    refused(ValueError, "prefetch_factor", num_workers=1, prefetch_factor=0)
    refused(ValueError, "prefetch_factor", prefetch_factor=2)
    refused(ValueError, "persistent_workers option needs num_workers > 0", persistent_workers=True)
    refused(ValueError, "timeout=3 needs num_workers", timeout=3)
    refused(ValueError, "can only be used with multi", multiprocessing_context="spawn")
    refused(ValueError, "valid start method", num_workers=1, multiprocessing_context="clone")
    refused(TypeError, "valid context object", num_workers=1, multiprocessing_context=3)
    with pytest.warns(UserWarning, match="This DataLoader will create 999 worker processes"):
        DataLoader(Numbers(), num_workers=999)
    assert DataLoader(Numbers(), num_workers=1).prefetch_factor == 2


# ----- Shared memory ------------------------------------------------------------------------------


@linux
def test_batches_lie_in_memory_that_is_used_again():
    loader = DataLoader(Large(), 2, num_workers=1, prefetch_factor=1)
    batches = iter(loader)
    memory = batches.workers[0].receiver.memory
    kept = list(itertools.islice(batches, 3))
    assert len(memory) >= 3
    for i, batch in enumerate(kept):
        assert batch.shape == (2, 1 << 18)
        assert batch[:, 0].tolist() == [2.0 * i, 2.0 * i + 1]
        assert (batch == batch[:, :1]).all()
        batch += 1  # it is the user's
    made = len(memory)
    del kept, batch
    for i, batch in enumerate(batches, 3):
        assert batch[:, -1].tolist() == [2.0 * i, 2.0 * i + 1]
    assert len(memory) <= made + 1


@linux
def test_batches_outlive_their_workers():
    batches = list(DataLoader(Large(4), 2, num_workers=2))
    assert [float(batch.sum()) for batch in batches] == [2.0**18, 5 * 2.0**18]


def talk(*bodies):
    """Send objects through a pipe, and return them with the ends."""
    near, far = Pipe()
    sender, receiver = sharing.Sender(near), sharing.Receiver(far)
    received = []
    for body in bodies:
        sender.send("head", body)
        received.append(receiver.receive())
    return sender, receiver, received


@linux
def test_memory_goes_back_to_the_sender():
    sender, receiver, received = talk(np.ones(1 << 15), tg.ones(1 << 16))
    assert set(sender.memory) == {1, 2}
    assert receiver.take_released() == []
    assert received[1][1].sum() == 1 << 16
    del received
    assert sorted(receiver.take_released()) == [1, 2]
    sender.release([1, 2, 7])
    sender.send("head", np.zeros(1 << 14))
    assert sender.free == {2}  # the smaller one was taken
    sender.send("head", np.zeros(1 << 18))
    assert set(sender.memory) == {1, 3}  # the other was given up for a larger one
    assert [receiver.receive()[1].size for _ in range(2)] == [1 << 14, 1 << 18]
    assert set(receiver.memory) == {1, 3}


def test_without_shared_memory_batches_go_through_the_pipe(monkeypatch):
    def refuse(size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sharing, "_create", refuse)
    sender, receiver, received = talk(np.arange(1 << 13) * 1.0)  # less than a pipe holds
    assert (received[0][1] == np.arange(1 << 13)).all()
    assert "65536 bytes of shared memory were refused: [Errno 28] No space" in receiver.refusal
    assert not sender.memory


@linux
def test_the_data_sets_arrays_are_sent_once_and_written_to_apart():
    array = np.zeros(1 << 16)
    tensor = tg.ones(1 << 16)
    handout = sharing.Handout((array, tensor, "text"))
    assert len(handout.data) < 1000
    copies = []
    for _ in range(2):
        near, far = Pipe()
        handout.send(near, os.getpid())
        copies.append(sharing.receive_handout(far))
    handout.close()
    copies[0][0][:] = 7
    copies[0][1].mul_(7)
    assert copies[1][0].sum() == 0
    assert copies[1][1].sum() == 1 << 16
    loader = DataLoader(Writing(array), None, num_workers=2)
    assert list(loader) == [1.0, 1.0, 2.0, 2.0]
    assert array.sum() == 0


def test_mapped_files_are_mapped_again(tmp_path):
    path = tmp_path / "numbers.npy"
    np.save(path, np.arange(600_000.0).reshape(200, 3000))
    mapped = np.load(path, mmap_mode="r")
    for part in (mapped, mapped[5:9], mapped[::2, 3:], mapped.T, np.asarray(mapped)[7]):
        data, buffers = sharing.pickled({"part": part, "tensor": tg.as_tensor(np.array(2.0))})
        assert len(data) < 2000
        assert not buffers
        again = pickle.loads(data)["part"]
        assert np.array_equal(again, part)
        assert again.strides == part.strides
        with pytest.raises(ValueError, match="read-only"):
            again[...] = 0
    own = np.load(path, mmap_mode="c")
    own[0] = -1
    assert (pickle.loads(sharing.pickled(own[:1])[0]) == -1).all()
    writable = np.memmap(tmp_path / "raw", np.float32, "w+", shape=(4, 3))
    again = pickle.loads(sharing.pickled(writable)[0])
    again[1] = 5
    assert writable[1].tolist() == [5, 5, 5]


# ----- Nothing is left behind ---------------------------------------------------------------------

SCRIPT = """
    import os, sys, time
    import tinygrad_like as torch

    class Slow(torch.utils.data.Dataset):
        def __len__(self):
            return 1000
        def __getitem__(self, i):
            os.write(1, f"pid {os.getpid()}\\n".encode())  # at once: there are two of them
            time.sleep(0.05)
            return torch.ones(1 << 16)

    if __name__ == "__main__":
        loader = torch.utils.data.DataLoader(Slow(), 2, num_workers=2, multiprocessing_context=sys.argv[1])
        for batch in loader:
            os.write(1, b"batch\\n")
"""


@linux
@pytest.mark.parametrize("context", ["forkserver", "spawn", "fork"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_program_leaves_no_process(tmp_path, context, number):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore:This DataLoader", str(script), context],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        pids, batches = set(), 0
        for line in process.stdout:
            word, _, rest = line.partition(" ")
            if word == "pid":
                pids.add(int(rest))
            else:
                batches += 1
            if batches >= 2 and len(pids) == 2:
                break
        assert len(pids) == 2
        if number == signal.SIGINT:  # what Ctrl-C does: every process in the foreground gets it
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, errors = process.communicate(timeout=60)
    assert all(gone(pid) for pid in pids)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert errors.count("Traceback") == 1


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import tinygrad_like as torch\n"
        "print(len(list(torch.utils.data.DataLoader(range(4), num_workers=1))))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode != 0
    assert "if __name__ == '__main__'" in done.stderr
    assert "multiprocessing_context='fork'" in done.stderr


@linux
def test_training_on_more_data_than_memory(tmp_path):
    """The memory a process may have for itself is limited to less than the file it trains on."""
    code = """
        import resource, sys
        import numpy as np
        import tinygrad_like as torch
        from tinygrad_like.utils.data import DataLoader, Dataset

        rows, width = 60_000, 512
        inputs = np.load(sys.argv[1], mmap_mode="r")

        class Rows(Dataset):
            def __len__(self):
                return rows
            def __getitems__(self, numbers):
                x = inputs[numbers]
                return list(zip(x, x[:, 0] - 2 * x[:, 1]))

        def used():
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))

        net = torch.nn.Linear(width, 1)
        sgd = torch.optim.SGD(net.parameters(), lr=0.02)
        def train(batches):
            for x, y in batches:
                loss = torch.nn.functional.mse_loss(net(x)[:, 0], y)
                sgd.zero_grad()
                loss.backward()
                sgd.step()
            return loss.item()
        loader = DataLoader(Rows(), batch_size=256)
        first = train(list(zip(range(1), loader))[0][1:])
        limit = used() + (48 << 20)
        assert limit - used() < inputs.nbytes / 2
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        try:
            np.ones(inputs.shape, np.float32)
        except MemoryError:
            print("too much")
        assert train(loader) < first / 20
        print("trained")
    """
    path = tmp_path / "rows.npy"
    rng = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (60_000, 512))
    for start in range(0, 60_000, 10_000):
        rows[start : start + 10_000] = rng.standard_normal((10_000, 512), np.float32)
    rows.flush()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "too much\ntrained\n", done.stderr
