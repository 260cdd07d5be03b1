"""The table of a model's layers."""

import numpy as np
import pytest

import tinygrad_like as tg
from tinygrad_like import nn
from tinygrad_like.summary import multiply_adds


def net():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Sequential(nn.Linear(288, 16), nn.Tanh(), nn.Linear(16, 10, bias=False)),
    )


def test_the_table():
    shown = str(tg.summary(net(), input_size=(2, 1, 8, 8)))
    assert shown == "\n".join(
        [
            "=" * 90,
            "Layer (type (name):depth-idx)            Output Shape                   Param #  Mult-Adds",
            "=" * 90,
            "Sequential                               [2, 10]                             --         --",
            "├─Conv2d (0): 1-1                        [2, 8, 6, 6]                        80     5.18 K",
            "├─BatchNorm2d (1): 1-2                   [2, 8, 6, 6]                        16         --",
            "├─Flatten (2): 1-3                       [2, 288]                            --         --",
            "└─Sequential (3): 1-4                    [2, 10]                             --         --",
            "    ├─Linear (0): 2-1                    [2, 16]                          4,624     9.22 K",
            "    ├─Tanh (1): 2-2                      [2, 16]                             --         --",
            "    └─Linear (2): 2-3                    [2, 10]                            160        320",
            "=" * 90,
            "Total params: 4,880",
            "Trainable params: 4,880",
            "Non-trainable params: 0",
            "Total mult-adds: 14.72 K",
            "=" * 90,
            "Input size (MB): 0.00",
            "Forward/backward pass size (MB): 0.01",
            "Params size (MB): 0.02",
            "Estimated Total Size (MB): 0.03",
            "=" * 90,
        ]
    )


def test_totals():
    model = net()
    model[0].weight.requires_grad_(False)
    found = tg.summary(model, input_size=(2, 1, 8, 8))
    assert found.total_params == sum(p.numel() for p in model.parameters())
    assert found.trainable_params == found.total_params - 72
    assert found.total_mult_adds == 2 * (8 * 36 * 9 + 288 * 16 + 160)
    assert found.input_bytes == 2 * 64 * 4
    assert found.output_bytes == 2 * 4 * 2 * (2 * 288 + 288 + 16 + 16 + 10)
    assert found.param_bytes == 4 * found.total_params + 4 * 16 + 8
    assert found.total_bytes == found.input_bytes + found.output_bytes + found.param_bytes


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (lambda: nn.Linear(3, 5), (2, 7, 3), 2 * 7 * 5 * 3),
        (lambda: nn.Conv1d(4, 6, 3, groups=2), (2, 4, 9), 2 * 6 * 7 * 2 * 3),
        (lambda: nn.Conv2d(4, 6, (3, 1), stride=2), (1, 4, 9, 9), 6 * 4 * 5 * 4 * 3),
        (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5), 25 * 4 * 6 * 9),
        (lambda: nn.ReLU(), (3, 3), 0),
    ],
)
def test_multiply_adds(layer, shape, count):
    assert tg.summary(layer(), shape).total_mult_adds == count


def test_multiply_adds_of_a_bilinear_layer():
    found = tg.summary(nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)])
    assert found.total_mult_adds == 2 * 5 * 3 * 4


def test_other_modules_can_say_what_they_multiply():
    class Squaring(nn.Module):
        def forward(self, x):
            return x @ x

    @multiply_adds.register
    def _(module: Squaring, inputs, output):
        return output.numel() * inputs[0].shape[-1]

    assert tg.summary(Squaring(), (4, 4)).total_mult_adds == 64


def test_without_an_input_layers_are_listed_but_not_run():
    shown = str(tg.summary(net()))
    assert "Conv2d (0): 1-1" in shown
    assert "[2, 10]" not in shown
    assert "Total params: 4,880" in shown
    assert "Input size" not in shown


def test_depth_limits_rows_but_not_totals():
    found = tg.summary(net(), (2, 1, 8, 8), depth=1)
    shown = str(found)
    assert "Linear" not in shown
    assert "4,784     9.54 K" in shown
    assert found.total_mult_adds == tg.summary(net(), (2, 1, 8, 8)).total_mult_adds


def test_a_module_called_twice_counts_its_parameters_once():
    shared = nn.Linear(4, 4)
    found = tg.summary(nn.Sequential(shared, nn.ReLU(), shared), (1, 4))
    assert found.total_params == 20
    assert found.total_mult_adds == 32
    assert "(recursive)" in str(found)


def test_inputs_of_all_kinds():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, index, scale):
            return {"rows": self.table(index) * scale, "parts": [scale, scale]}

    data = [tg.tensor([1, 4]), tg.ones(1)]
    shapes = "[[2, 3], [1], [1]]"
    assert shapes in str(tg.summary(Two(), input_data=data))
    assert shapes in str(tg.summary(Two(), input_data={"index": data[0], "scale": data[1]}))
    assert shapes in str(tg.summary(Two(), [(2,), (1,)], dtypes=[tg.int64, tg.float32]))
    assert "[3, 3]" in str(tg.summary(nn.Embedding(5, 3), input_data=tg.tensor([0, 1, 2])))
    assert "[3, 3]" in str(tg.summary(nn.Embedding(5, 3), tg.tensor([0, 1, 2])))
    assert shapes in str(tg.summary(Two(), data))
    assert shapes in str(tg.summary(Two(), {"index": data[0], "scale": data[1]}))


def test_the_model_is_left_as_it_was():
    model = net()
    model[1].eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    tg.manual_seed(0)
    expected = tg.rand(2).tolist()
    tg.manual_seed(0)
    tg.summary(model, (2, 1, 8, 8))
    assert tg.rand(2).tolist() == expected
    assert [module.training for module in model.modules()] == modes
    assert not model._hooked
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), state[name].numpy())


def test_double_models_get_double_inputs():
    assert tg.summary(nn.Linear(2, 3).double(), (4, 2)).input_bytes == 64


def test_an_error_says_where_it_happened():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3))
    with pytest.raises(RuntimeError) as caught:
        tg.summary(model, (2, 5))
    assert caught.value.__notes__[-1] == "summary: this happened in Sequential > Linear (1)"
    assert not model._hooked


def test_wrong_arguments():
    with pytest.raises(TypeError, match="expected a Module"):
        tg.summary(3)
    with pytest.raises(ValueError, match="give one of them"):
        tg.summary(nn.ReLU(), (1,), input_data=tg.ones(1))
