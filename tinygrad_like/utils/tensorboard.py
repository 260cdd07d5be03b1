"""Runs written for TensorBoard to show, with PyTorch's `SummaryWriter`, by the library tensorboardX.

The library (extra ``tensorboard``, which also brings TensorBoard itself) is imported when a writer is
made. ``tensorboard --logdir runs`` then shows what was written.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_like.graph import Traced

if TYPE_CHECKING:
    from tinygrad_like.nn import Module

__all__ = ["SummaryWriter"]


def library(name: str = "tensorboardX") -> Any:
    """Return a module of the library.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(name)
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
        return type(value)(map(plain, value))
    return value


def _picture(value: Any) -> Any:
    """Return pictures as arrays, floats within 0 to 1: tensorboardX would let others wrap around."""
    array = np.asarray(plain(value))
    return np.clip(array, 0, 1) if array.dtype.kind == "f" else array


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
        self._writer = library().SummaryWriter(
            logdir=None if not log_dir else str(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )
        self.log_dir: str = self._writer.logdir
        self.purge_step, self.max_queue = purge_step, max_queue
        self.flush_secs, self.filename_suffix = flush_secs, filename_suffix

    def get_logdir(self) -> str:
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
        number = plain(scalar_value)
        if not new_style:
            self._writer.add_scalar(tag, number, global_step, walltime)
            return
        tensors = library("tensorboardX.proto.tensor_pb2")
        summaries = library("tensorboardX.proto.summary_pb2")
        value = float(np.asarray(number).squeeze())
        tensor = (
            tensors.TensorProto(double_val=[value], dtype="DT_DOUBLE")
            if double_precision
            else tensors.TensorProto(float_val=[value], dtype="DT_FLOAT")
        )
        plugin = summaries.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = summaries.SummaryMetadata(plugin_data=plugin)
        summary = summaries.Summary()
        summary.value.add(tag=tag, tensor=tensor, metadata=metadata)
        self._writer._get_file_writer().add_summary(summary, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add a number to each of several curves that are drawn together as `main_tag`."""
        self._writer.add_scalars(main_tag, plain(tag_scalar_dict), global_step, walltime)

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
        self._writer.add_histogram(tag, plain(values), global_step, bins, walltime, max_bins)

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
        self._writer.add_histogram_raw(
            *(tag, *map(plain, (min, max, num, sum, sum_squares))),
            *(plain(bucket_limits), plain(bucket_counts), global_step, walltime),
        )

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
        self._writer.add_pr_curve(
            *(tag, plain(labels), plain(predictions), global_step),
            *(num_thresholds, plain(weights), walltime),
        )

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
        self._writer.add_pr_curve_raw(
            *(tag, plain(true_positive_counts), plain(false_positive_counts)),
            *(plain(true_negative_counts), plain(false_negative_counts)),
            *(plain(precision), plain(recall), global_step),
            *(num_thresholds, plain(weights), walltime),
        )

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
        metrics = {name: float(plain(value)) for name, value in metric_dict.items()}
        settings = {name: _setting(name, value) for name, value in hparam_dict.items()}
        summaries = library("tensorboardX.summary").hparams(settings, metrics)
        _declare_domains(summaries[0], hparam_domain_discrete or {})
        folder = os.path.join(self.log_dir, run_name or str(time.time()))
        with library().SummaryWriter(logdir=folder) as writer:
            for summary in summaries:
                writer.file_writer.add_summary(summary)
            for name, value in metrics.items():
                writer.add_scalar(name, value, global_step)

    def add_custom_scalars(self, layout: dict[str, Any]) -> None:
        """Arrange curves in charts: categories of ``{title: [kind, tags]}``, to be called once.

        The kind is "Multiline" or "Margin".
        """
        self._writer.add_custom_scalars(layout)

    def add_custom_scalars_multilinechart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Arrange several curves in one chart."""
        self._writer.add_custom_scalars_multilinechart(tags, category, title)

    def add_custom_scalars_marginchart(
        self, tags: list[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Arrange three curves in one chart: a value, and what is below and above it."""
        self._writer.add_custom_scalars_marginchart(tags, category, title)

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
        self._writer.add_image(tag, _picture(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Add several pictures side by side."""
        self._writer.add_images(tag, _picture(img_tensor), global_step, walltime, dataformats)

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
        self._writer.add_image_with_boxes(
            *(tag, _picture(img_tensor), plain(box_tensor), global_step, walltime),
            dataformats=dataformats,
            labels=labels,
            rescale=rescale,
        )

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Add a Matplotlib figure, or a list of them, as a picture."""
        self._writer.add_figure(tag, figure, global_step, close, walltime)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Add a text, which may be Markdown."""
        self._writer.add_text(tag, text_string, global_step, walltime)

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
        labels = None if metadata is None else list(plain(metadata))
        self._writer.add_embedding(
            *(plain(mat), labels, plain(label_img), global_step, tag, metadata_header)
        )

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
        self._writer.add_mesh(
            *(tag, plain(vertices), plain(colors), plain(faces)),
            *(config_dict, global_step, walltime),
        )

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
            input_to_model: a tensor, or a list of them.
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
        event = library("tensorboardX.proto.event_pb2").Event(graph_def=graph.SerializeToString())
        self._writer._get_file_writer().add_event(event)

    # ----- Ends -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits to disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write what waits and close the files; another call of `add_scalar` opens new ones."""
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _setting(name: str, value: Any) -> Any:
    """Return a setting as one of the types that can be written."""
    found = plain(value)
    if isinstance(found, np.ndarray | np.generic) and found.size == 1:
        found = found.item()
    if found is not None and not isinstance(found, bool | int | float | str):
        raise ValueError(
            "value should be one of int, float, str, bool, or torch.Tensor: "
            f"hparam_dict[{name!r}] is {type(value).__name__}"
        )
    return found


def _declare_domains(experiment: Any, domains: Mapping[str, Sequence[Any]]) -> None:
    """Add to an experiment's summary the values that settings can have."""
    if not domains:
        return
    plugin = experiment.value[0].metadata.plugin_data
    content = library("tensorboardX.proto.plugin_hparams_pb2").HParamsPluginData()
    content.ParseFromString(plugin.content)
    for info in content.experiment.hparam_infos:
        for value in domains.get(info.name, ()):
            listed = info.domain_discrete.values.add()
            if isinstance(value, str):
                listed.string_value = value
            elif isinstance(value, bool):
                listed.bool_value = value
            else:
                listed.number_value = float(value)
    plugin.content = content.SerializeToString()
