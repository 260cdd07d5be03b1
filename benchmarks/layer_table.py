"""The samples of the page of layers: how each is made, and what it is called with, at a usual size.

Measured is a call in training and the way back, to the parameters and to every float input.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def inputs(torch: Any) -> dict[str, Any]:
    """Return the inputs by name; the float ones, which are in the first part, want gradients."""
    rng = np.random.default_rng(0)
    shapes = {
        "x": (64, 512),
        "y": (64, 512),
        "signal": (32, 16, 256),
        "image": (16, 16, 32, 32),
        "volume": (4, 8, 12, 12, 12),
        "wide": (16, 64, 16, 16),
        "text": (16, 64, 128),
        "memory": (16, 48, 128),
        "state": (64, 128),
        "cell": (64, 128),
        "columns": (8, 72, 256),
    }
    leaves = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    leaves["share"] = rng.uniform(0.05, 0.95, (64, 512))
    leaves["logs"] = np.log(rng.dirichlet(np.ones(32), (50, 16)))
    found = {k: torch.tensor(v.astype(np.float32)).requires_grad_() for k, v in leaves.items()}
    sign = np.sign(rng.normal(size=64)).astype(np.float32)
    fixed = {
        "labels": rng.integers(0, 512, 64),
        "goal": rng.uniform(0.05, 0.95, (64, 512)).astype(np.float32),
        "signs": np.sign(rng.normal(size=(64, 512))).astype(np.float32),
        "sign": sign,
        "spread": rng.uniform(0.5, 2, (64, 512)).astype(np.float32),
        "tokens": rng.integers(0, 1000, (16, 64)),
        "lists": np.where(rng.random((64, 512)) < 0.9, rng.integers(0, 512, (64, 512)), -1),
        "spelling": rng.integers(1, 32, (16, 20)),
        "long": np.full(16, 50),
        "short": np.full(16, 20),
    }
    return found | {k: torch.tensor(v) for k, v in fixed.items()}


# One a line: the layer, and after the arrow its arguments.
LAYERS = """
Linear(512, 512) <- x
Bilinear(64, 64, 32) <- x[:, :64], y[:, :64]
LazyLinear(512) <- x
Embedding(1000, 128) <- tokens
EmbeddingBag(1000, 128) <- tokens
Conv1d(16, 32, 3, padding=1) <- signal
Conv2d(16, 32, 3, padding=1) <- image
Conv2d(16, 32, 3, stride=2, padding=1) <- image
Conv2d(16, 16, 3, padding=1, groups=16) <- image
Conv2d(16, 32, 1) <- image
Conv3d(8, 8, 3, padding=1) <- volume
ConvTranspose1d(16, 16, 4, stride=2) <- signal
ConvTranspose2d(16, 8, 4, stride=2, padding=1) <- image
ConvTranspose3d(8, 4, 2, stride=2) <- volume
MaxPool1d(2) <- signal
MaxPool2d(2) <- image
MaxPool3d(2) <- volume
AvgPool1d(2) <- signal
AvgPool2d(2) <- image
AvgPool3d(2) <- volume
LPPool1d(2, 2) <- signal
LPPool2d(2, 2) <- image
LPPool3d(2, 2) <- volume
AdaptiveMaxPool1d(7) <- signal
AdaptiveMaxPool2d(7) <- image
AdaptiveMaxPool3d(5) <- volume
AdaptiveAvgPool1d(7) <- signal
AdaptiveAvgPool2d(7) <- image
AdaptiveAvgPool3d(5) <- volume
FractionalMaxPool2d(2, output_ratio=0.6) <- image
FractionalMaxPool3d(2, output_ratio=0.6) <- volume
BatchNorm1d(512) <- x
BatchNorm2d(16) <- image
BatchNorm3d(8) <- volume
InstanceNorm1d(16) <- signal
InstanceNorm2d(16) <- image
InstanceNorm3d(8) <- volume
GroupNorm(4, 16) <- image
LayerNorm(128) <- text
RMSNorm(128) <- text
LocalResponseNorm(3) <- image
Dropout(0.2) <- x
Dropout1d(0.2) <- signal
Dropout2d(0.2) <- image
Dropout3d(0.2) <- volume
AlphaDropout(0.2) <- x
FeatureAlphaDropout(0.2) <- image
RNN(128, 128, batch_first=True) <- text
LSTM(128, 128, batch_first=True) <- text
LSTM(128, 64, 2, batch_first=True, bidirectional=True) <- text
GRU(128, 128, batch_first=True) <- text
RNNCell(128, 128) <- state, cell
LSTMCell(128, 128) <- state, (cell, cell)
GRUCell(128, 128) <- state, cell
MultiheadAttention(128, 4, batch_first=True) <- text, text, text
MultiheadAttention(128, 4, batch_first=True) <- text, memory, memory
TransformerEncoderLayer(128, 4, 256, batch_first=True) <- text
TransformerDecoderLayer(128, 4, 256, batch_first=True) <- text, memory
Transformer(128, 4, 1, 1, 256, batch_first=True) <- memory, text
ZeroPad2d(2) <- image
ConstantPad1d(2, 1.0) <- signal
ConstantPad3d(2, 1.0) <- volume
ReflectionPad1d(2) <- signal
ReflectionPad2d(2) <- image
ReflectionPad3d(2) <- volume
ReplicationPad1d(2) <- signal
ReplicationPad2d(2) <- image
ReplicationPad3d(2) <- volume
CircularPad1d(2) <- signal
CircularPad2d(2) <- image
CircularPad3d(2) <- volume
PixelShuffle(2) <- image
PixelUnshuffle(2) <- image
ChannelShuffle(4) <- image
Upsample(scale_factor=2) <- image
Upsample(scale_factor=2, mode='bilinear') <- image
UpsamplingNearest2d(scale_factor=2) <- image
UpsamplingBilinear2d(scale_factor=2) <- image
Fold((16, 16), 3, padding=1) <- columns
Unfold(3, padding=1) <- image
Flatten() <- image
Unflatten(1, (16, 32)) <- x
Identity() <- x
CosineSimilarity() <- x, y
PairwiseDistance() <- x, y
CELU() <- x
ELU() <- x
GELU() <- x
GELU('tanh') <- x
GLU() <- x
Hardshrink() <- x
Hardsigmoid() <- x
Hardswish() <- x
Hardtanh() <- x
LeakyReLU() <- x
LogSigmoid() <- x
LogSoftmax(1) <- x
Mish() <- x
PReLU() <- x
ReLU() <- x
ReLU6() <- x
RReLU() <- x
SELU() <- x
SiLU() <- x
Sigmoid() <- x
Softmax(1) <- x
Softmax2d() <- image
Softmin(1) <- x
Softplus() <- x
Softshrink() <- x
Softsign() <- x
Tanh() <- x
Tanhshrink() <- x
Threshold(0.1, 0.0) <- x
L1Loss() <- x, goal
MSELoss() <- x, goal
SmoothL1Loss() <- x, goal
HuberLoss() <- x, goal
CrossEntropyLoss() <- x, labels
CrossEntropyLoss(label_smoothing=0.1) <- x, labels
NLLLoss() <- x, labels
GaussianNLLLoss() <- x, goal, spread
PoissonNLLLoss() <- x, goal
KLDivLoss(reduction='batchmean') <- x, goal
BCELoss() <- share, goal
BCEWithLogitsLoss() <- x, goal
CTCLoss() <- logs, spelling, long, short
MarginRankingLoss() <- x, y, signs
HingeEmbeddingLoss() <- x, signs
CosineEmbeddingLoss() <- x, y, sign
MultiMarginLoss() <- x, labels
MultiLabelMarginLoss() <- x, lists
MultiLabelSoftMarginLoss() <- x, goal
SoftMarginLoss() <- x, signs
TripletMarginLoss() <- x, y, x * y
TripletMarginWithDistanceLoss() <- x, y, x * y
AdaptiveLogSoftmaxWithLoss(512, 512, [100, 300]) <- x, labels
"""

EXPRESSIONS = [line for line in LAYERS.strip().splitlines() if line]

# Layers that are not on the page, and why.
_REASONS = {
    "the same as the paddings that are there": "ConstantPad2d ZeroPad1d ZeroPad3d",
    "they take places, see the ops": "MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    "stacks of the layers that are there": "TransformerEncoder TransformerDecoder",
    "batch norm on one machine": "SyncBatchNorm",
    "they compute nothing": "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    "bases of others": "Module RNNBase RNNCellBase",
    "PyTorch's gradient is not that of what it computes": "CrossMapLRN2d",
}
ELSEWHERE = {name: reason for reason, names in _REASONS.items() for name in names.split()}


_WINDOWS = "windows of different sizes are taken one by one"
# Why a line is more than `op_table.LIMIT` times as slow as PyTorch's.
REASONS = {"AdaptiveMaxPool3d(5) <- volume": _WINDOWS, "AdaptiveMaxPool2d(7) <- image": _WINDOWS}


def elsewhere(name: str) -> bool:
    """Return True if a layer is rightly not on the page; a lazy one soon is the one it waits for."""
    return name in ELSEWHERE or name.startswith("Lazy")
