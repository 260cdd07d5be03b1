"""What `SummaryWriter` writes is, event for event, what PyTorch's writes when it is called likewise."""

import inspect
import io
import os
import subprocess
import sys
import time
import types
import warnings
import wave

import numpy as np
import pytest

import tinygrad_like as torch
from tinygrad_like.utils import event_files
from tinygrad_like.utils.tensorboard import FileWriter, SummaryWriter

pytest.importorskip("tensorboardX")
pytest.importorskip("tensorboard")

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.normal(size=(4, 50)).astype(np.float32)
PICTURE = RANDOM.uniform(-0.5, 1.5, size=(3, 6, 5)).astype(np.float32)
BYTES = RANDOM.integers(0, 256, size=(2, 3, 4, 4)).astype(np.uint8)
SOUND = np.sin(np.linspace(0, 50, 400)).astype(np.float32)
LAYOUT = {"a": {"x": ["Multiline", ["1", "2"]], "y": ["Margin", ["1", "2", "3"]]}}
COUNTS = np.arange(18.0).reshape(6, 3)


def figure():
    figure = pytest.importorskip("matplotlib.figure").Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([0, 1])
    return figure


# Each is called with a writer and the function that makes tensors of arrays.
CALLS = {
    "number": lambda w, t: w.add_scalar("a b/ä", t(np.array(0.1)), 3, 5.0),
    "number of one element": lambda w, t: w.add_scalar("x", t(np.ones((1, 1))), t(np.array(2))),
    "integer": lambda w, t: w.add_scalar("x", np.int64(7)),
    "no number": lambda w, t: w.add_scalar("x", float("nan"), 1),
    "new style": lambda w, t: w.add_scalar("x", 0.1, 1, new_style=True),
    "double": lambda w, t: w.add_scalar("x", 0.1, 1, new_style=True, double_precision=True),
    "curves": lambda w, t: w.add_scalars("a/b", {"one": t(np.array(1.0)), "two 2": 2}, 4),
    "histogram": lambda w, t: w.add_histogram("h", t(NORMAL), 1),
    "histogram of numbers": lambda w, t: w.add_histogram("h", t(np.arange(-5, 9)), 1),
    "histogram with few bins": lambda w, t: w.add_histogram("h", t(NORMAL), 1, max_bins=11),
    "histogram of a rule": lambda w, t: w.add_histogram("h", t(NORMAL), 1, "fd"),
    "histogram with edges": lambda w, t: w.add_histogram("h", t(NORMAL), 1, [-1, 0, 0.5, 2]),
    "histogram counted": lambda w, t: w.add_histogram_raw(
        *("h", -1, 2, 6, 3.0, 9.5, t(np.array([0.0, 1, 2])), t(np.array([1, 2, 3])), 8)
    ),
    "picture": lambda w, t: w.add_image("p", t(PICTURE), 1),
    "picture of bytes": lambda w, t: w.add_image("p", t(BYTES[0])),
    "picture of another order": lambda w, t: w.add_image("p", t(PICTURE[0]), dataformats="HW"),
    "picture of booleans": lambda w, t: w.add_image("p", t(PICTURE > 0.5)),
    "pictures": lambda w, t: w.add_images("p", t(np.tile(PICTURE, (9, 1, 1, 1)))),
    "boxes": lambda w, t: w.add_image_with_boxes(
        "p", t(np.tile(PICTURE, (1, 8, 8))), t(np.array([[2, 20, 20, 30]])), labels="it"
    ),
    "boxes, other labels": lambda w, t: w.add_image_with_boxes(
        "p", t(PICTURE), t(np.array([[1, 1, 2, 2]])), rescale=3, labels=["too", "many"]
    ),
    "figure": lambda w, t: w.add_figure("f", figure()),
    "figures": lambda w, t: w.add_figure("f", [figure(), figure()], 2),
    "sound": lambda w, t: w.add_audio("s", t(SOUND[None]), 1, 8000),
    "text": lambda w, t: w.add_text("a note", "**bold** ä", 1),
    "precision": lambda w, t: w.add_pr_curve(
        "pr", t((NORMAL[0] > 0) * 1), t(SOUND[:50] ** 2), 1, 20, np.ones(50)
    ),
    "precision counted": lambda w, t: w.add_pr_curve_raw("pr", *map(t, COUNTS), 1, 3),
    "charts": lambda w, t: w.add_custom_scalars(LAYOUT),
    "chart of lines": lambda w, t: w.add_custom_scalars_multilinechart(["a", "b"], "c", "d"),
    "chart of margins": lambda w, t: w.add_custom_scalars_marginchart(["a", "b", "c"]),
    "mesh": lambda w, t: w.add_mesh("m", t(NORMAL[:, :12].reshape(1, 16, 3)), global_step=3),
    "mesh with faces": lambda w, t: w.add_mesh(
        *("m", t(NORMAL[:, :3].reshape(1, 4, 3)), t(np.full((1, 4, 3), 255))),
        t(np.array([[[0, 1, 2], [1, 2, 3]]])),
        {"camera": {"cls": "PerspectiveCamera"}},
    ),
    **{
        f"tensor of {kind}": lambda w, t, kind=kind: w.add_tensor("t", t(COUNTS.astype(kind)), 1)
        for kind in ["float32", "float64", "int8", "int16", "int32", "int64", "bool"]
    },
    "tensor without dimensions": lambda w, t: w.add_tensor("t", t(np.array(2.0))),
    "settings": lambda w, t: w.add_hparams(
        {"lr": 0.1, "size": 3, "kind": "wide", "bias": True, "none": None, "t": t(np.ones(1))},
        {"accuracy": t(np.array(0.5)), "loss": 2},
        {"lr": [0.1, 0.2], "kind": ["wide", "deep"]},
        *("tried", 6),
    ),
}


def events(folder):
    """Return for each folder below the events of its files, without times."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    settings = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for event in loader.LegacyEventFileLoader(str(file)).Load():
            event.wall_time = 0
            event.ClearField("source_metadata")  # that it was written by TensorBoard's own library
            for value in event.summary.value:
                plugin = value.metadata.plugin_data
                if plugin.plugin_name == "hparams":  # a message with a map, which has no order
                    read = settings.HParamsPluginData.FromString(plugin.content)
                    plugin.content = read.SerializeToString(deterministic=True)
            found.setdefault(str(file.parent.relative_to(folder)), []).append(event)
    return found


def both(folder, call):
    """Return what our writer and PyTorch's write in the same call."""
    theirs = pytest.importorskip("torch")
    boards = pytest.importorskip("torch.utils.tensorboard")
    for name, writer, tensor in (
        ("ours", SummaryWriter, torch.tensor),
        ("theirs", boards.SummaryWriter, theirs.tensor),
    ):
        with writer(folder / name) as made:
            call(made, tensor)
    return events(folder / "ours"), events(folder / "theirs")


@pytest.mark.parametrize("name", CALLS)
def test_events_are_those_of_torch(name, tmp_path):
    if name.startswith(("picture", "boxes", "figure")):
        pytest.importorskip("PIL")
    ours, theirs = both(tmp_path, CALLS[name])
    assert sum(map(len, theirs.values())) > len(theirs)
    assert ours == theirs


def test_a_run_that_goes_on_is_that_of_torch(tmp_path):
    boards = pytest.importorskip("torch.utils.tensorboard")
    for name, kind in (("ours", SummaryWriter), ("theirs", boards.SummaryWriter)):
        writer = kind(str(tmp_path / name), purge_step=3, filename_suffix=".end")
        writer.add_scalar("x", 1, 3)
        writer.close()
        writer.close()
        writer.add_scalar("x", 2, 4)  # opens another file
        writer.flush()
        writer.close()
        assert len(list((tmp_path / name).glob("events.out.tfevents.*.end"))) == 2
    ours, theirs = events(tmp_path / "ours"), events(tmp_path / "theirs")
    assert ours == theirs
    assert [event.step for event in ours["."]] == [0, 3, 3, 3, 0, 4]


def test_points_are_those_of_torch(tmp_path):
    formats = pytest.importorskip("google.protobuf.text_format")
    configs = pytest.importorskip("tensorboard.plugins.projector.projector_config_pb2")
    images = pytest.importorskip("PIL.Image")

    def call(writer, tensor):
        pictures = tensor(RANDOM.uniform(size=(4, 3, 5, 5)))
        points = tensor(COUNTS[:4])
        writer.add_embedding(points, [1, "b", 2.5, True], pictures * 0 + 0.3, 7, "a/b%")
        labels = [["a", 1], ["b", 2], ["c", 3], ["d", 4]]
        writer.add_embedding(points, labels, metadata_header=["name", "number"])

    both(tmp_path, call)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    files = sorted(str(file.relative_to(theirs)) for file in theirs.rglob("*.*"))
    for name in [name for name in files if "tfevents" not in name]:
        if name.endswith(".png"):
            assert np.array_equal(
                *(np.asarray(images.open(side / name)) for side in (ours, theirs))
            )
        elif name.endswith(".pbtxt"):
            found = [
                formats.Parse((side / name).read_text(), configs.ProjectorConfig())
                for side in (ours, theirs)
            ]
            assert found[0] == found[1]
        else:
            assert (ours / name).read_text() == (theirs / name).read_text()


@pytest.mark.parametrize("kind", ["float16", "uint8"])
def test_tensors_that_torch_writes_unreadably(kind, tmp_path):
    tensors = pytest.importorskip("tensorboard.util.tensor_util")
    with SummaryWriter(tmp_path) as writer:
        writer.add_tensor("t", torch.tensor(COUNTS.astype(kind)))
    _, event = events(tmp_path)["."]
    array = tensors.make_ndarray(event.summary.value[0].tensor)
    assert array.dtype == kind
    assert np.array_equal(array, COUNTS)


def test_a_film(tmp_path):
    images = pytest.importorskip("PIL.Image")
    films = np.zeros((3, 2, 3, 4, 6), np.uint8)  # two frames
    films[0, 0], films[1, 1, 0], films[2, 1] = 255, 255, 255
    with SummaryWriter(tmp_path) as writer:
        writer.add_video("v", torch.tensor(films), 5, fps=10)
        writer.add_video("grey", torch.full((1, 3, 1, 2, 2), 0.5))
    _, event, grey = events(tmp_path)["."]
    assert event.step == 5
    value = event.summary.value[0].image
    assert (value.height, value.width, value.colorspace) == (
        4,
        24,
        3,
    )  # as many places as a power of 2
    film = images.open(io.BytesIO(value.encoded_image_string))
    assert (film.format, film.n_frames, film.info["duration"]) == ("GIF", 2, 100)
    first = np.asarray(film.convert("RGB"))
    film.seek(1)
    second = np.asarray(film.convert("RGB"))
    assert (first[:, :6] == 255).all()
    assert not first[:, 6:].any()
    assert (second[:, 6:12] == [255, 0, 0]).all()
    assert (second[:, 12:18] == 255).all()
    assert not second[:, 18:].any()
    film = images.open(io.BytesIO(grey.summary.value[0].image.encoded_image_string))
    assert film.size == (2, 2)


def test_a_sound_that_is_too_loud(tmp_path, capsys):
    with SummaryWriter(tmp_path) as writer:
        writer.add_audio("s", torch.tensor([0.5, -3.0, 1.0]), sample_rate=4)
        with pytest.raises(
            ValueError, match=r"expected a sound of one channel, got shape \(2, 3\)"
        ):
            writer.add_audio("s", torch.ones(2, 3))
    assert capsys.readouterr().out == "warning: audio amplitude out of range, auto clipped.\n"
    _, event = events(tmp_path)["."]
    with wave.open(io.BytesIO(event.summary.value[0].audio.encoded_audio_string)) as sound:
        samples = np.frombuffer(sound.readframes(3), "<i2")
    assert samples.tolist() == [16383, -32767, 32767]


# ----- Files --------------------------------------------------------------------------------------


def test_flush_writes_all_that_was_added(tmp_path):
    writer = SummaryWriter(tmp_path, max_queue=2)
    for step in range(50):
        writer.add_scalar("x", step, step)
    writer.flush()
    assert len(events(tmp_path)["."]) == 51
    writer.close()


def test_what_waits_is_written_in_time(tmp_path):
    writer = SummaryWriter(tmp_path, flush_secs=0.01)
    writer.add_scalar("x", 1, 0)
    for _ in range(3000):
        if len(events(tmp_path).get(".", ())) == 2:
            break
        time.sleep(0.01)
    assert len(events(tmp_path)["."]) == 2
    writer.close()


def test_a_writer_that_nobody_has_any_more_is_closed(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.add_scalar("x", 1, 0)
    del writer
    assert len(events(tmp_path)["."]) == 2


def test_a_program_that_ends_without_closing(tmp_path):
    code = (
        "from tinygrad_like.utils.tensorboard import SummaryWriter\n"
        f"writer = SummaryWriter({str(tmp_path)!r})\n"
        "for step in range(30): writer.add_scalar('x', step, step)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(events(tmp_path)["."]) == 31


def test_a_forked_process_leaves_the_file_to_its_parent(tmp_path):
    writer = SummaryWriter(tmp_path, max_queue=1)
    writer.add_scalar("x", 1, 0)
    writer.flush()
    # In a child the thread is not there, so nobody would take what is put into the queue.
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of forks with threads
        child = os.fork()
    if child == 0:
        try:
            writer.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    writer.add_scalar("x", 2, 1)
    writer.close()
    assert [event.step for event in events(tmp_path)["."]] == [0, 0, 1]


def test_writers_of_one_folder_do_not_overwrite_each_other(tmp_path):
    for step in range(3):
        with SummaryWriter(tmp_path) as writer:
            writer.add_scalar("x", step, step)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_written_is_told(tmp_path, monkeypatch):
    writer = FileWriter(tmp_path)

    def full(content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._file, "write", full)
    event = event_files.library("proto.event_pb2").Event
    writer.add_event(event())
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    with pytest.raises(OSError, match="No space left"):
        writer.add_event(event())
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_a_file_is_reopened_and_takes_graphs(tmp_path):
    graphs = pytest.importorskip("tensorboard.compat.proto.graph_pb2")
    costs = pytest.importorskip("tensorboard.compat.proto.config_pb2").RunMetadata()
    graph = graphs.GraphDef()
    graph.node.add(name="x", op="input")
    file = FileWriter(tmp_path)
    assert file.get_logdir() == str(tmp_path)
    file.add_graph((graph, costs), walltime=2.0)
    file.reopen()  # it is open
    file.close()
    with pytest.raises(OSError, match="Writer is closed"):
        file.add_onnx_graph(graph)
    file.reopen()
    file.add_onnx_graph(graph)
    file.close()
    assert len(list(tmp_path.iterdir())) == 2
    _, first, second, _, third = events(tmp_path)["."]
    assert graphs.GraphDef.FromString(first.graph_def) == graph
    assert second.tagged_run_metadata.tag == "step1"
    assert third.graph_def == first.graph_def


def test_default_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="-note") as writer:
        assert writer.get_logdir() == writer.log_dir
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-note")
    assert str(folder.relative_to(tmp_path)) == writer.log_dir


def test_bins_are_those_of_torch(tmp_path):
    theirs = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(str(tmp_path / "theirs"))
    with theirs, SummaryWriter(tmp_path / "ours") as ours:
        assert ours.default_bins == theirs.default_bins


# ----- What there is, and what is refused ---------------------------------------------------------


@pytest.mark.parametrize("name", ["SummaryWriter", "FileWriter"])
def test_methods_have_the_arguments_of_torch(name):
    theirs = getattr(pytest.importorskip("torch.utils.tensorboard"), name)
    for method_name, method in inspect.getmembers(theirs, inspect.isfunction):
        if method_name in ("__enter__", "__exit__", "_encode"):
            continue
        wanted, found = (
            [(p.name, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (method, getattr({**globals()}[name], method_name))
        )
        assert found == wanted, method_name


WRONG = {
    "a list as a setting": (
        lambda w: w.add_hparams({"a": [1]}, {}),
        (ValueError, r"hparam_dict\['a'\] is list"),
    ),
    "no dict of settings": (lambda w: w.add_hparams([], {}), (TypeError, "should be dictionary")),
    "no dict of values": (
        lambda w: w.add_hparams({}, {}, [1]),
        (TypeError, "hparam_domain_discrete should be a dictionary"),
    ),
    "values of another type": (
        lambda w: w.add_hparams({"a": 1}, {}, {"a": [1, "2"]}),
        (TypeError, r"hparam_domain_discrete\[a\] should be a list of same type"),
    ),
    "limits and counts": (
        lambda w: w.add_histogram_raw("h", 0, 1, 1, 1, 1, [1, 2], [1]),
        (ValueError, r"len\(bucket_limits\) != len\(bucket_counts\)"),
    ),
    "two margins": (
        lambda w: w.add_custom_scalars_marginchart(["a", "b"]),
        (AssertionError, "Expected 3 tags, got 2"),
    ),
    "points of one dimension": (
        lambda w: w.add_embedding(torch.ones(3)),
        (ValueError, r"mat has shape \(3,\), expected \(N, D\)"),
    ),
    "too few labels": (
        lambda w: w.add_embedding(torch.ones(3, 2), ["a"]),
        (ValueError, "metadata is for 1 points, but mat has 3"),
    ),
    "pictures that are not square": (
        lambda w: w.add_embedding(torch.ones(3, 2), label_img=torch.ones(3, 1, 2, 4)),
        (ValueError, r"label_img has shape \(3, 1, 2, 4\), expected \(N, C, H, H\)"),
    ),
    "no model": (lambda w: w.add_graph(print), (TypeError, "expected a Module")),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name, tmp_path):
    call, (kind, message) = WRONG[name]
    with SummaryWriter(tmp_path) as writer, pytest.raises(kind, match=message):
        call(writer)


def test_graphs_of_onnx(tmp_path, monkeypatch):
    """The library reads the file; it is not needed to test what becomes of its answer."""

    def record(**values):
        return types.SimpleNamespace(**values)

    size = record(dim=[record(dim_value=2)])
    x = record(name="x", type=record(tensor_type=record(shape=size, elem_type=1)))
    y = record(name="y", type=x.type)
    node = record(output=["y"], op_type="Relu", input=["x"], attribute=[])
    graph = record(input=[x], output=[y], node=[node])
    onnx = types.ModuleType("onnx")
    onnx.load = {"net.onnx": record(graph=graph)}.__getitem__
    onnx.__spec__ = types.SimpleNamespace()
    with SummaryWriter(tmp_path) as writer:
        monkeypatch.setitem(sys.modules, "onnx", None)
        with pytest.raises(ImportError, match="needs the library onnx"):
            writer.add_onnx_graph("net.onnx")
        monkeypatch.setitem(sys.modules, "onnx", onnx)
        writer.add_onnx_graph("net.onnx")
    _, event = events(tmp_path)["."]
    graphs = pytest.importorskip("tensorboard.compat.proto.graph_pb2")
    nodes = graphs.GraphDef.FromString(event.graph_def).node
    assert [(node.name, node.op, list(node.input)) for node in nodes] == [
        ("x", "Variable", []),
        ("y", "Variable", []),
        ("y", "Relu", ["x"]),
    ]
