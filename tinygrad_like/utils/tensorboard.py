"""Runs written for TensorBoard to show, with PyTorch's `SummaryWriter`, by the library tensorboardX.

The library (extra ``tensorboard``, which also brings TensorBoard itself) is imported when a writer is
made. ``tensorboard --logdir runs`` then shows what was written.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.utils import event_files
from tinygrad_like.utils.event_files import FileWriter, library, made, pixels, plain

if TYPE_CHECKING:
    from tinygrad_like.nn import Module

__all__ = ["FileWriter", "SummaryWriter"]


class SummaryWriter:
    """Writes numbers, pictures and graphs of a run to a folder, in the format TensorBoard reads.

    Values may be tensors, arrays or numbers; calls return at once, a thread writes. The arguments are
    PyTorch's.

    Args:
        log_dir: the folder (default: ``runs/`` with time, host and `comment`).
        comment: an ending for the default folder's name.
        purge_step: when a crashed run goes on: hide its events from this step on.
        max_queue: how many events may wait before a call waits for the disk.
        flush_secs: after how many seconds waiting events are written.
        filename_suffix: an ending for the names of files.

    Raises:
        ImportError: if tensorboardX is not installed.

    >>> import tempfile
    >>> import tinygrad_like as torch
    >>> from tinygrad_like.utils.tensorboard import SummaryWriter
    >>> net = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", torch.tensor(1 / (step + 1)), step)
    ...         writer.add_histogram("weight", net.weight, step)
    ...     writer.add_graph(net, torch.ones(4, 2))
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir, self.purge_step = log_dir, purge_step
        self.max_queue, self.flush_secs = max_queue, flush_secs
        self.filename_suffix = filename_suffix
        buckets = np.cumprod([1e-12, *773 * [1.1]]).tolist()
        self.default_bins = [*(-bucket for bucket in reversed(buckets)), 0, *buckets]
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._embeddings = ""
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        """Return the writer of the main file, which is opened anew after `close`."""
        if self.file_writer is None:
            self.file_writer = self._open(str(self.log_dir))
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                events = library("proto.event_pb2")
                start = events.SessionLog(status=events.SessionLog.START)
                self.file_writer.add_event(
                    events.Event(step=self.purge_step, file_version="brain.Event:2")
                )
                self.file_writer.add_event(events.Event(step=self.purge_step, session_log=start))
                self.purge_step = None
        return self.file_writer

    def _open(self, folder: str) -> FileWriter:
        return FileWriter(folder, self.max_queue, self.flush_secs, self.filename_suffix)

    def _add(self, summary: Any, step: int | None = None, walltime: float | None = None) -> None:
        self._get_file_writer().add_summary(summary, step, walltime)

    def get_logdir(self) -> Any:
        """Return the folder it writes to."""
        return self.log_dir

    # ----- Numbers --------------------------------------------------------------------------------

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Add a number to the curve `tag`.

        Args:
            tag: the curve's name; what stands before a ``/`` groups curves.
            scalar_value: the number.
            global_step: its place on the curve.
            walltime: seconds since 1970 (default: now).
            new_style: write it as a tensor, as TensorFlow 2 does.
            double_precision: of a tensor, write float64.
        """
        summary = event_files.scalar(tag, scalar_value, new_style, double_precision)
        self._add(summary, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add a number to each of several curves that are drawn together as `main_tag`."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        writers = self.all_writers or {}
        for tag, value in tag_scalar_dict.items():
            place = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if place not in writers:
                writers[place] = self._open(place)
            writers[place].add_summary(event_files.scalar(main_tag, value), global_step, walltime)

    def add_tensor(
        self,
        tag: str,
        tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add all numbers of a tensor; TensorBoard keeps them, but has no page that shows them."""
        self._add(event_files.tensor(tag, tensor), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Add the histogram of `values`, a tensor of any shape.

        `bins` is "tensorflow", what ``numpy.histogram`` takes, or a list of edges; `max_bins` joins bins.
        """
        bins = self.default_bins if isinstance(bins, str) and bins == "tensorflow" else plain(bins)
        values = np.asarray(plain(values))
        self._add(made("histogram", tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: int,
        sum: float,
        sum_squares: float,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add a histogram that was counted already; `bucket_limits` are the upper ends of bins."""
        limits, counts = plain(bucket_limits), plain(bucket_counts)
        if len(limits) != len(counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        numbers = map(plain, (min, max, num, sum, sum_squares))
        self._add(made("histogram_raw", tag, *numbers, limits, counts), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add a curve of precision and recall: `labels` 0 or 1, `predictions` probabilities."""
        arrays = np.asarray(plain(labels)), np.asarray(plain(predictions))
        summary = made("pr_curve", tag, *arrays, num_thresholds, plain(weights))
        self._add(summary, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add a curve of precision and recall that was counted already."""
        counts = (
            *(true_positive_counts, false_positive_counts),
            *(true_negative_counts, false_negative_counts, precision, recall),
        )
        summary = made("pr_curve_raw", tag, *map(plain, counts), num_thresholds, plain(weights))
        self._add(summary, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Add the settings of this run, and how well it did, to the table of runs.

        Args:
            hparam_dict: settings by name: numbers, strings, booleans.
            metric_dict: results by name; a name must not be that of another curve.
            hparam_domain_discrete: for settings, all the values they can have.
            run_name: a folder below the writer's own (default: the time).
            global_step: the step of the results.

        Raises:
            TypeError: if the first two are not dicts, or a value can't be written.
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        summaries = event_files.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(folder) as writer:
            for summary in summaries:
                writer._add(summary, global_step)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def add_custom_scalars(self, layout: dict[str, Any]) -> None:
        """Arrange curves in charts: categories of ``{title: [kind, tags]}``, to be called once.

        The kind is "Multiline" or "Margin".
        """
        self._add(library("summary").custom_scalars(layout))

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Arrange several curves in one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Arrange three curves in one chart: a value, and what is below and above it."""
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    # ----- Pictures, texts, things in space -------------------------------------------------------

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Add a picture, from 0 to 1 or uint8, its dimensions in the order of `dataformats`."""
        image = made("image", tag, pixels(img_tensor), dataformats=dataformats)
        self._add(image, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Add several pictures side by side."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: list[str] | None = None,
    ) -> None:
        """Add a picture with boxes ``(N, 4)`` of left, top, right, bottom drawn on it."""
        boxes = np.asarray(plain(box_tensor))
        labels = [labels] if isinstance(labels, str) else labels
        if labels is not None and len(labels) != len(boxes):
            labels = None
        image = made("image_boxes", tag, pixels(img_tensor), boxes, rescale, dataformats, labels)
        self._add(image, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Add a Matplotlib figure, or a list of them, as a picture."""
        images = library("utils").figure_to_image(figure, close)
        form = "NCHW" if isinstance(figure, list) else "CHW"
        self.add_image(tag, images, global_step, walltime, dataformats=form)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Add films ``(N, T, C, H, W)``, shown side by side, from 0 to 1 or uint8."""
        self._add(event_files.video(tag, vid_tensor, fps), global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Add a sound ``(1, L)``, from -1 to 1, with `sample_rate` numbers a second."""
        self._add(event_files.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add a text, which may be Markdown."""
        self._add(made("text", tag, text_string), global_step, walltime)

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Add points ``(N, D)`` for the projector, which shows them in 3 dimensions.

        Args:
            mat: the points.
            metadata: a label for each; with `metadata_header` a list of several.
            label_img: a picture ``(N, C, H, H)`` for each.
            global_step: the step.
            tag: the name.
            metadata_header: the names of several labels.
        """
        folder = self._get_file_writer().get_logdir()
        step = f"{0 if global_step is None else global_step:05}"
        name = tag.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
        self._embeddings += event_files.embedding(
            *(folder, f"{step}/{name}", f"{tag}:{step}", np.asarray(plain(mat))),
            None if metadata is None else list(plain(metadata)),
            metadata_header,
            None if label_img is None else np.asarray(plain(label_img)),
        )
        with open(os.path.join(folder, "projector_config.pbtxt"), "w", encoding="utf-8") as file:
            file.write(self._embeddings)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: dict[str, Any] | None = None,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add meshes or point clouds: `vertices` ``(N, V, 3)``, `colors` likewise, `faces` ``(N, F, 3)``."""
        parts = {"VERTEX": vertices, "FACE": faces, "COLOR": colors}
        self._add(event_files.mesh(tag, parts, config_dict), global_step, walltime)

    # ----- The graph ------------------------------------------------------------------------------

    def add_graph(
        self,
        model: Module,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """Add the graph of `model`, which runs once on `input_to_model`, in evaluation.

        Scopes are the calls of modules: see `tinygrad_like.viz.graphdef.graph_def`.

        Args:
            model: the module.
            input_to_model: a tensor, or a list of what to call it with.
            verbose: also print the graph.
            use_strict_trace: taken for PyTorch's sake; nothing is traced here.

        Raises:
            TypeError: if `model` is not a module.
        """
        from tinygrad_like.viz.graphdef import graph_def

        del use_strict_trace
        graph = graph_def(model, input_to_model)
        if verbose:
            print(graph)
        self._get_file_writer().add_onnx_graph(graph)

    def add_onnx_graph(self, prototxt: str) -> None:
        """Add the graph in an ONNX file.

        Raises:
            ImportError: if onnx is not installed.
        """
        if importlib.util.find_spec("onnx") is None:
            raise ImportError(
                "add_onnx_graph needs the library onnx, which is not installed: pip install onnx"
            )
        graph = library("onnx_graph").load_onnx_graph(str(prototxt))
        self._get_file_writer().add_onnx_graph(graph)

    # ----- Ends -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits to disk."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write what waits and close the files; another call opens new ones."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
