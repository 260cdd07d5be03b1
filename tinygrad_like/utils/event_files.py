"""Event files, which TensorBoard reads, and the summaries in them, as PyTorch writes them.

Records and protocol buffers are those of the library tensorboardX. Its writers are not used: their
`flush` doesn't wait for what was handed over before, and a file opened in the same second as another
replaces it.
"""

from __future__ import annotations

import importlib
import io
import itertools
import json
import os
import queue
import socket
import threading
import time
import wave
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_like.graph import Traced

Array = np.ndarray[Any, Any]


def library(name: str) -> Any:
    """Return a module of tensorboardX.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(f"tensorboardX.{name}")
    except ImportError as error:
        raise ImportError(
            "utils.tensorboard needs the library tensorboardX, which is not installed: "
            "pip install 'tinygrad-like[tensorboard]'"
        ) from error


def plain(value: Any) -> Any:
    """Return arrays for tensors, also for those in lists and dicts."""
    if isinstance(value, Traced):
        return value.array
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        make = getattr(type(value), "_make", type(value))  # of a namedtuple, or of a list
        return make(map(plain, value))
    return value


# ----- Files --------------------------------------------------------------------------------------

_numbers = itertools.count()  # of the files of this process


class FileWriter:
    """Writes one event file; a thread does the writing.

    Args:
        log_dir: the folder.
        max_queue: how many events may wait before a call waits for the thread.
        flush_secs: after how many seconds what was written is to be on the disk.
        filename_suffix: an ending for the file's name.

    Raises:
        ImportError: if tensorboardX is not installed.
    """

    def __init__(
        self,
        log_dir: Any,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        self._folder = str(log_dir)
        self._max_queue, self._flush_secs = max_queue, flush_secs
        self._suffix = filename_suffix
        self._close: Any = None
        self.reopen()

    def reopen(self) -> None:
        """Go on in a new file, if it was closed."""
        if self._close is not None and self._close.alive:
            return
        records = library("record_writer")
        records.directory_check(self._folder)
        now = time.time()
        number = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers)}{self._suffix}"
        name = f"events.out.tfevents.{int(now):010}.{number}"
        self._file = records.RecordWriter(os.path.join(self._folder, name))
        self._waiting: queue.Queue[bytes | None] = queue.Queue(self._max_queue)
        self._failures: list[Exception] = []
        parts = (self._file, self._waiting, self._failures)
        thread = threading.Thread(target=_write, args=(*parts, self._flush_secs), daemon=True)
        thread.start()
        # Also called when nobody has the writer any more, and at the end of the program.
        self._close = weakref.finalize(self, _finish, self._file, self._waiting, thread)
        self.add_event(library("proto.event_pb2").Event(file_version="brain.Event:2"))

    def get_logdir(self) -> str:
        """Return the folder it writes to."""
        return self._folder

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Add an event, a protocol buffer.

        Raises:
            OSError: if the file is closed, or what was added before could not be written.
        """
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self._check()
        if not self._close.alive:
            raise OSError("Writer is closed")
        self._waiting.put(event.SerializeToString())

    def add_summary(
        self, summary: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add a summary, a protocol buffer."""
        event = library("proto.event_pb2").Event()
        event.summary.MergeFrom(summary)
        self.add_event(event, global_step, walltime)

    def add_graph(self, graph_profile: Sequence[Any], walltime: float | None = None) -> None:
        """Add a graph and what its run cost, two protocol buffers."""
        graph, costs = graph_profile
        self.add_onnx_graph(graph, walltime)
        event = library("proto.event_pb2").Event()
        event.tagged_run_metadata.tag = "step1"
        event.tagged_run_metadata.run_metadata = costs.SerializeToString()
        self.add_event(event, None, walltime)

    def add_onnx_graph(self, graph: Any, walltime: float | None = None) -> None:
        """Add a graph, a protocol buffer."""
        event = library("proto.event_pb2").Event(graph_def=graph.SerializeToString())
        self.add_event(event, None, walltime)

    def flush(self) -> None:
        """Wait until all is on the disk."""
        if self._close.alive:
            self._waiting.join()
            self._file.flush()
        self._check()

    def close(self) -> None:
        """Write what waits and close the file."""
        self._close()
        self._check()

    def _check(self) -> None:
        if self._failures:
            raise self._failures[0]


def _write(
    file: Any, waiting: queue.Queue[bytes | None], failures: list[Exception], flush_secs: float
) -> None:
    """Write what comes, until None comes."""
    due: float | None = None  # when what was written is to be on the disk
    while True:
        try:
            if due is not None and time.monotonic() >= due:
                due = None
                file.flush()
            content = waiting.get(timeout=None if due is None else max(due - time.monotonic(), 0))
        except queue.Empty:
            continue
        except OSError as error:
            failures.append(error)
            continue
        try:
            if content is None:
                return
            file.write(content)
            due = due or time.monotonic() + flush_secs
        except Exception as error:  # told by the next call; the queue must not fill up
            failures.append(error)
        finally:
            waiting.task_done()


def _finish(file: Any, waiting: queue.Queue[bytes | None], thread: threading.Thread) -> None:
    if not thread.is_alive():  # in a forked process, whose parent has the thread
        return
    waiting.put(None)
    thread.join()
    file.flush()
    file.close()


# ----- Summaries ----------------------------------------------------------------------------------


def made(kind: str, tag: str, *args: Any, **options: Any) -> Any:
    """Return the summary that tensorboardX makes, with the tag as it is: it replaces characters."""
    summary = getattr(library("summary"), kind)(tag, *args, **options)
    for value in summary.value:
        value.tag = f"{tag}/text_summary" if kind == "text" else tag
    return summary


def _of_plugin(tag: str, plugin: str, content: bytes = b"", tensor: Any = None) -> Any:
    """Return a summary for one of TensorBoard's plugins."""
    summary = library("proto.summary_pb2").Summary()
    value = summary.value.add(tag=tag)
    value.metadata.plugin_data.plugin_name = plugin
    value.metadata.plugin_data.content = content
    if tensor is not None:
        value.tensor.CopyFrom(tensor)
    return summary


def pixels(value: Any) -> Array:
    """Return pictures as uint8: floats from 0 to 1, numbers out of range cut off."""
    array = np.asarray(plain(value))
    if array.dtype == np.uint8:
        return array
    return (array.astype(np.float32) * 255).clip(0, 255).astype(np.uint8)


def scalar(tag: str, number: Any, new_style: bool = False, double_precision: bool = False) -> Any:
    """Return a number; in the new style it is a tensor, as of TensorFlow 2."""
    if not new_style:
        return made("scalar", tag, plain(number))
    kind, field = ("DT_DOUBLE", "double_val") if double_precision else ("DT_FLOAT", "float_val")
    value = float(np.asarray(plain(number)).squeeze())
    tensor = library("proto.tensor_pb2").TensorProto(dtype=kind, **{field: [value]})
    return _of_plugin(tag, "scalars", tensor=tensor)


# For each dtype what it is called, and where its numbers are put.
_FIELDS = {
    "float16": ("DT_HALF", "half_val"),
    "float32": ("DT_FLOAT", "float_val"),
    "float64": ("DT_DOUBLE", "double_val"),
    "int8": ("DT_INT8", "int_val"),
    "uint8": ("DT_UINT8", "int_val"),
    "int16": ("DT_INT16", "int_val"),
    "int32": ("DT_INT32", "int_val"),
    "int64": ("DT_INT64", "int64_val"),
    "bool": ("DT_BOOL", "bool_val"),
}


def tensor(tag: str, value: Any) -> Any:
    """Return all numbers of a tensor.

    Raises:
        ValueError: if there is no field for its dtype.
    """
    array = np.asarray(plain(value))
    if array.dtype.name not in _FIELDS:
        raise ValueError(f"{tag} has unsupported tensor dtype {array.dtype}")
    kind, field = _FIELDS[array.dtype.name]
    flat = array.reshape(-1)
    if kind == "DT_HALF":
        flat = flat.view(np.uint16)
    proto = library("proto.tensor_pb2").TensorProto(dtype=kind, **{field: flat.tolist()})
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_shape.SetInParent()
    return _of_plugin(tag, "tensor", tensor=proto)


def video(tag: str, value: Any, fps: float) -> Any:
    """Return films ``(N, T, C, H, W)`` side by side, as a GIF.

    Raises:
        ImportError: if Pillow is not installed.
    """
    films = pixels(value)
    count, frames, channels, height, width = films.shape
    rows = 2 ** ((count.bit_length() - 1) // 2)
    whole = count if count & (count - 1) == 0 else 2 ** count.bit_length()
    films = np.pad(films, [(0, whole - count), *4 * [(0, 0)]])
    grid = films.reshape(rows, -1, frames, channels, height, width).transpose(2, 0, 4, 1, 5, 3)
    grid = grid.reshape(frames, rows * height, -1, channels)
    image = importlib.import_module("PIL.Image")
    pictures = [image.fromarray(frame[..., 0] if channels == 1 else frame) for frame in grid]
    content = io.BytesIO()
    pictures[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=1000 / fps,
        loop=0,
    )
    summary = library("proto.summary_pb2").Summary()
    found = summary.value.add(tag=tag).image
    found.height, found.width, found.colorspace = *grid.shape[1:3], channels
    found.encoded_image_string = content.getvalue()
    return summary


def audio(tag: str, value: Any, sample_rate: int) -> Any:
    """Return a sound of one channel, from -1 to 1, as 16 bit.

    Raises:
        ValueError: if it has several channels.
    """
    sound = np.asarray(plain(value)).squeeze()
    if sound.ndim != 1:
        raise ValueError(f"add_audio: expected a sound of one channel, got shape {sound.shape}")
    if np.abs(sound).max(initial=0) > 1:
        print("warning: audio amplitude out of range, auto clipped.")
    samples = (sound.clip(-1, 1) * np.iinfo(np.int16).max).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
    summary = library("proto.summary_pb2").Summary()
    found = summary.value.add(tag=tag).audio
    found.sample_rate, found.num_channels, found.length_frames = sample_rate, 1, len(samples)
    found.encoded_audio_string, found.content_type = content.getvalue(), "audio/wav"
    return summary


def mesh(tag: str, parts: Mapping[str, Any], config: Mapping[str, Any] | None) -> Any:
    """Return what there is of vertices, faces and colours, each ``(N, M, 3)``."""
    kinds = {"VERTEX": 1, "FACE": 2, "COLOR": 3}
    arrays = {kind: np.asarray(plain(parts[kind])) for kind in kinds if parts[kind] is not None}
    protos = library("proto.plugin_mesh_pb2"), library("proto.tensor_pb2")
    summary = library("proto.summary_pb2").Summary()
    for kind, array in arrays.items():
        content = protos[0].MeshPluginData(
            name=tag,
            content_type=kinds[kind],
            json_config="{}" if config is None else json.dumps(config, sort_keys=True),
            shape=array.shape,
        )
        # Field 7 tells what there is in all; tensorboardX doesn't know of it.
        components = bytes([7 << 3, sum(1 << kinds[there] for there in arrays)])
        numbers = protos[1].TensorProto(dtype="DT_FLOAT", float_val=array.reshape(-1).tolist())
        for size in array.shape:
            numbers.tensor_shape.dim.add(size=size)
        data = content.SerializeToString() + components
        summary.MergeFrom(_of_plugin(f"{tag}_{kind}", "mesh", data, numbers))
    return summary


def hparams(
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
    domains: Mapping[str, Sequence[Any]] | None,
) -> list[Any]:
    """Return what TensorBoard's table of runs is made of: the columns, a run's settings, its end.

    Raises:
        TypeError: if `domains` is not for those settings.
        ValueError: if a setting is of another type.
    """
    domains = domains or {}
    if not isinstance(domains, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    for name, values in domains.items():
        if (
            name not in settings
            or not isinstance(values, list)
            or not all(isinstance(value, type(settings[name])) for value in values)
        ):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                f"hparam_dict[{name}]."
            )
    data = library("proto.plugin_hparams_pb2").HParamsPluginData
    columns, start, end = data(), data(), data()
    columns.experiment.SetInParent()
    start.session_start_info.SetInParent()
    for name, value in settings.items():
        if value is None:
            continue
        setting = _setting(name, value)
        field = "string_value" if isinstance(setting, str) else "number_value"
        setattr(start.session_start_info.hparams[name], field, setting)
        kind = "DATA_TYPE_STRING" if isinstance(setting, str) else "DATA_TYPE_FLOAT64"
        column = columns.experiment.hparam_infos.add(name=name, type=kind)
        for choice in domains.get(name, ()):
            setattr(column.domain_discrete.values.add(), field, _setting(name, choice))
    for name in results:
        columns.experiment.metric_infos.add().name.tag = name
    end.session_end_info.status = library("proto.api_pb2").Status.Value("STATUS_SUCCESS")
    return [
        _of_plugin(f"_hparams_/{tag}", "hparams", part.SerializeToString())
        for tag, part in (
            ("experiment", columns),
            ("session_start_info", start),
            ("session_end_info", end),
        )
    ]


def _setting(name: str, value: Any) -> str | float:
    """Return a setting as it is written; PyTorch takes booleans for numbers too."""
    found = plain(value)
    if isinstance(found, np.ndarray | np.generic) and found.size == 1:
        found = found.item()
    if isinstance(found, str):
        return found
    if isinstance(found, bool | int | float):
        return float(found)
    raise ValueError(
        "value should be one of int, float, str, bool, or torch.Tensor: "
        f"hparam_dict[{name!r}] is {type(value).__name__}"
    )


# ----- Points for the projector -------------------------------------------------------------------


def embedding(
    folder: str,
    place: str,
    name: str,
    points: Array,
    labels: Sequence[Any] | None,
    header: Sequence[str] | None,
    pictures: Array | None,
) -> str:
    """Write the files of an embedding to `place` in `folder`, and return its entry of the list.

    Raises:
        ValueError: if `points` is not a matrix, or labels or pictures don't fit.
    """
    if points.ndim != 2:
        raise ValueError(f"add_embedding: mat has shape {points.shape}, expected (N, D)")
    for what, given in (("metadata", labels), ("label_img", pictures)):
        if given is not None and len(given) != len(points):
            raise ValueError(
                f"add_embedding: {what} is for {len(given)} points, but mat has {len(points)}"
            )
    files = library("embedding")
    target = os.path.join(folder, place)
    os.makedirs(target, exist_ok=True)
    files.make_mat(points, target)
    lines = [f'tensor_name: "{name}"', f'tensor_path: "{place}/tensors.tsv"']
    if labels is not None:
        files.make_tsv(labels, target, metadata_header=header)
        lines.append(f'metadata_path: "{place}/metadata.tsv"')
    if pictures is not None:
        if pictures.ndim != 4 or pictures.shape[2] != pictures.shape[3]:
            raise ValueError(
                f"add_embedding: label_img has shape {pictures.shape}, expected (N, C, H, H)"
            )
        files.make_sprite((pixels(pictures) + 0.5) / 255, target)  # it cuts decimals off
        sides = 2 * [f"  single_image_dim: {pictures.shape[3]}"]
        lines += ["sprite {", f'  image_path: "{place}/sprite.png"', *sides, "}"]
    return "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
