"""Every layer made with usual and with odd arguments: what it prints, what it keeps, what it refuses."""

import warnings

import pytest

import tinygrad_like as tg
from tests.nn_parity import neutral, pytorch

# What the layers need that can't be made without arguments.
USUAL = {
    **dict.fromkeys(("Linear", "LayerNorm", "RMSNorm", "LocalResponseNorm", "CrossMapLRN2d"), (3,)),
    "Linear": (3, 4),
    "Bilinear": (2, 3, 4),
    "Unflatten": (1, (2, 2)),
    "Threshold": (1.0, 2.0),
    "GroupNorm": (2, 4),
    "SyncBatchNorm": (3,),
    "AdaptiveLogSoftmaxWithLoss": (16, 20, [5]),
    "LazyLinear": (3,),
    "ChannelShuffle": (2,),
    "Fold": (2, 2),
    "FractionalMaxPool2d": (2, 3),
    "FractionalMaxPool3d": (2, 3),
    **{f"{kind}{cell}": (2, 3) for kind in ("RNN", "LSTM", "GRU") for cell in ("", "Cell")},
    **dict.fromkeys(("Embedding", "EmbeddingBag"), (3, 4)),
    **dict.fromkeys(("PixelShuffle", "PixelUnshuffle", "Unfold", "Upsample"), (2,)),
    **dict.fromkeys(
        ("MultiheadAttention", "TransformerEncoderLayer", "TransformerDecoderLayer"), (4, 2)
    ),
}
FAMILIES = {
    **{f"{pool}Pool": (2,) for pool in ("Max", "Avg", "AdaptiveMax", "AdaptiveAvg")},
    "MaxUnpool": (2,),
    "LPPool": (2, 3),
    "Conv": (2, 4, 3),
    "ConvTranspose": (2, 4, 3),
    "LazyConv": (3, 2),
    "LazyConvTranspose": (3, 2),
    "BatchNorm": (3,),
    "InstanceNorm": (3,),
    **{f"{pad}Pad": (1,) for pad in ("Zero", "Reflection", "Replication", "Circular")},
    "ConstantPad": (1, 2.0),
}
USUAL |= {f"{name}{d}d": given for name, given in FAMILIES.items() for d in (1, 2, 3)}

NOT_LAYERS = {"Module", "Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer"}
NOT_LAYERS |= {"Sequential", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
NOT_LAYERS |= {"RNNBase", "RNNCellBase", "TransformerEncoder", "TransformerDecoder", "Transformer"}
NAMES = sorted(
    name
    for name in dir(pytorch.nn)
    if isinstance(getattr(pytorch.nn, name), type)
    and hasattr(tg.nn, name)
    and name not in NOT_LAYERS
)

ODD = (-1, 0, 1.5, None, "x", (1, 2, 3, 4))
# Refused here when the layer is made, by PyTorch when it is called.
EARLIER = {"Unflatten": 0, "FractionalMaxPool3d": 0}


def variants(name):
    """Yield positional and named arguments."""
    usual = USUAL.get(name, ())
    yield usual, {}
    for place in range(len(usual)):
        if EARLIER.get(name) != place:
            for value in ODD:
                yield (*usual[:place], value, *usual[place + 1 :]), {}
    yield (*usual, *(1,) * 20), {}
    yield usual[:-1], {}
    for option in ({"nope": 1}, {"bias": False}, {"inplace": True}, {"reduction": "sum"}):
        yield usual, option
    for option in ({"dtype": "int64"}, {"dtype": "float64"}, {"device": "cpu"}):
        yield usual, option


def made(torch, name, args, options):
    """Return what the layer prints, keeps and draws, or the kind of error."""
    options = {k: getattr(torch, v) if k == "dtype" else v for k, v in options.items()}
    torch.manual_seed(0)
    try:
        layer = getattr(torch.nn, name)(*args, **options)
    except Exception as error:
        return type(error).__name__
    state = [(key, str(value.dtype)) for key, value in layer.state_dict().items()]
    kept = {
        key: value
        for key, value in vars(layer).items()
        if isinstance(value, int | float | str | tuple) and not key.startswith(("_", "activation_"))
    }
    kept.pop("transposed", None)  # of the class, here
    return neutral(repr(layer)), state, kept, torch.rand(1).item()


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_made_and_refused_as_by_pytorch(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for args, options in variants(name):
            found, wanted = (made(torch, name, args, options) for torch in (tg, pytorch))
            assert found == wanted, f"{name}(*{args}, **{options})"


def test_most_layers_are_tried():
    assert len(NAMES) > 130
