"""Whole networks as people write them, trained beside PyTorch's from the same seed, dropout and all."""

import numpy as np
import pytest

import tinygrad_like as tg
from tests.nn_parity import pytorch

# PyTorch says which of its shortcuts cannot be taken.
pytestmark = pytest.mark.filterwarnings(
    "ignore:enable_nested_tensor is True", "ignore:LSTM with proj"
)

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 3, 16, 16)).astype("float32")
VOLUMES = RNG.normal(size=(2, 1, 8, 8, 8)).astype("float32")
LABELS = RNG.integers(0, 5, 4)
PLACES = RNG.integers(0, 2, (2, 8, 8, 8))
WORDS = RNG.integers(0, 11, (7, 4))


def residual(torch):
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, into, out, stride=1):
            super().__init__()
            self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(out)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(out)
            self.shortcut = nn.Sequential()
            if stride != 1 or into != out:
                self.shortcut.append(nn.Conv2d(into, out, 1, stride, bias=False))
                self.shortcut.append(nn.BatchNorm2d(out))
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

        def forward(self, x):
            inner = F.relu(self.norm1(self.conv1(x)))
            return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(x), inplace=True)

    net = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(Block(8, 8), Block(8, 16, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Dropout(0.2), nn.Linear(16, 5)),
    )
    images, labels = torch.tensor(IMAGES), torch.tensor(LABELS)
    return net, lambda: F.cross_entropy(net(images), labels, label_smoothing=0.1)


def u_net(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            norm = nn.InstanceNorm3d(4, affine=True)
            self.down = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), norm, nn.LeakyReLU(0.1))
            self.pool = nn.MaxPool3d(2)
            self.deep = nn.Sequential(
                nn.Conv3d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.PReLU(8)
            )
            self.up = nn.ConvTranspose3d(8, 4, 2, 2)
            self.resize = nn.Upsample(scale_factor=2, mode="trilinear")
            self.drop = nn.Dropout3d(0.1)
            self.out = nn.Conv3d(16, 2, 1)

        def forward(self, x):
            down = self.down(x)
            deep = self.deep(self.pool(down))
            return self.out(self.drop(torch.cat([down, self.up(deep), self.resize(deep)], 1)))

    net, loss = Net(), nn.CrossEntropyLoss()
    return net, lambda: loss(net(torch.tensor(VOLUMES)), torch.tensor(PLACES))


def translation(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(11, 16, padding_idx=0)
            self.body = nn.Transformer(16, 4, 1, 1, 32, 0.1)
            self.out = nn.Linear(16, 11, bias=False)
            self.out.weight = self.table.weight

        def forward(self, source, target):
            mask = self.body.generate_square_subsequent_mask(len(target))
            padding = (source == 0).transpose(0, 1)
            x, y = self.table(source), self.table(target)
            return self.out(self.body(x, y, tgt_mask=mask, src_key_padding_mask=padding))

    net, words = Net(), torch.tensor(WORDS)

    def loss():
        scores = net(words, words[:-1]).reshape(-1, 11)
        return nn.functional.cross_entropy(scores, words[1:].reshape(-1), ignore_index=0)

    return net, loss


def recurrent(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(11, 16)
            self.steps = nn.LSTM(16, 12, 2, dropout=0.2, bidirectional=True, proj_size=5)
            self.attention = nn.MultiheadAttention(10, 2, 0.1)
            self.norm = nn.LayerNorm(10)
            self.out = nn.Linear(10, 11)

        def forward(self, words):
            x, _ = self.steps(self.table(words))
            return self.out(self.norm(x + self.attention(x, x, x)[0]))

    net, words = Net(), torch.tensor(WORDS)
    loss = nn.CrossEntropyLoss()
    return net, lambda: loss(net(words).reshape(-1, 11), words.reshape(-1))


def lazy(torch):
    nn = torch.nn
    net = nn.Sequential(
        *(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.LPPool2d(2, 2), nn.Flatten()),
        *(nn.LazyLinear(16), nn.SELU(), nn.AlphaDropout(0.1), nn.Linear(16, 5), nn.LogSoftmax(1)),
    )
    images, labels, loss = torch.tensor(IMAGES), torch.tensor(LABELS), nn.NLLLoss()
    net(images)
    return net, lambda: loss(net(images), labels)


def autoencoder(torch):
    nn, F = torch.nn, torch.nn.functional

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            convolution = nn.Conv2d(12, 8, 3, 2, 1)
            self.encode = nn.Sequential(nn.PixelUnshuffle(2), convolution, nn.SiLU(), nn.Flatten())
            self.mean, self.log_variance = nn.Linear(128, 4), nn.Linear(128, 4)
            self.decode = nn.Sequential(
                *(
                    nn.Linear(4, 128),
                    nn.Unflatten(1, (8, 4, 4)),
                    nn.ConvTranspose2d(8, 12, 4, 2, 1),
                ),
                *(nn.PixelShuffle(2), nn.Sigmoid()),
            )

        def forward(self, x):
            hidden = self.encode(x)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
            return self.decode(drawn), mean, log_variance

    net, images = Net(), torch.tensor(IMAGES)

    def loss():
        out, mean, spread = net(images)
        apart = -0.5 * (1 + spread - mean**2 - spread.exp()).mean()
        return F.binary_cross_entropy(out, torch.sigmoid(images)) + apart

    return net, loss


@pytest.mark.parametrize("make", [residual, u_net, translation, recurrent, lazy, autoencoder])
def test_a_network_trains_as_pytorchs(make):
    def run(torch):
        torch.manual_seed(0)
        net, loss = make(torch)
        optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            losses.append(value.item())
        net.eval()
        with torch.no_grad():
            losses.append(loss().item())
        return losses, repr(net), list(net.state_dict())

    found, *words = run(tg)
    expected, *wanted = run(pytorch)
    assert words == wanted
    assert found[-1] < found[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
