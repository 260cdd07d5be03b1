"""Whole trainings run beside PyTorch's, in double precision, from the same seed."""

import pytest

import tinygrad_like as ours

torch = pytest.importorskip("torch")

STEPS = 100

OPTIMIZERS = {
    "sgd": lambda p, w: p.optim.SGD(w, lr=0.05),
    "momentum": lambda p, w: p.optim.SGD(w, lr=0.02, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda p, w: p.optim.SGD(w, lr=0.02, momentum=0.9, nesterov=True),
    "adam": lambda p, w: p.optim.Adam(w, lr=0.01),
    "amsgrad": lambda p, w: p.optim.Adam(w, lr=0.01, amsgrad=True, weight_decay=1e-3),
    "adamw": lambda p, w: p.optim.AdamW(w, lr=0.01),
    "rmsprop": lambda p, w: p.optim.RMSprop(w, lr=0.002, momentum=0.5, centered=True),
    "adagrad": lambda p, w: p.optim.Adagrad(w, lr=0.05),
}


def mlp(p):
    nn = p.nn
    return nn.Sequential(
        nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 4)
    )


class Net:
    """A small convolutional network, as a script would define it with either package."""

    @staticmethod
    def of(p):
        nn = p.nn

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                # No bias in front of batch norm: its gradient is zero but for rounding, which an
                # adaptive optimizer would blow up into steps as large as any.
                self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
                self.norm = nn.BatchNorm2d(6)
                self.pool = nn.MaxPool2d(2)
                self.second = nn.Conv2d(6, 8, 3, padding=1)
                self.head = nn.Linear(8 * 2 * 2, 4)

            def forward(self, x):
                x = self.pool(nn.functional.relu(self.norm(self.conv(x))))
                x = self.pool(nn.functional.relu(self.second(x)))
                return self.head(x.flatten(1))

        return Model()


def data_of(p, shape):
    generator = p.Generator().manual_seed(1)
    x = p.randn(48, *shape, generator=generator, dtype=p.float64)
    return p.utils.data.TensorDataset(x, p.randint(0, 4, (48,), generator=generator))


def train(p, make_model, shape, make_optimizer, schedule=None):
    """Return the losses and the final weights of a training as any script would write it."""
    p.manual_seed(0)
    model = make_model(p).double()
    optimizer = make_optimizer(p, model.parameters())
    scheduler = schedule(p.optim.lr_scheduler, optimizer) if schedule else None
    criterion = p.nn.CrossEntropyLoss()
    loader = p.utils.data.DataLoader(data_of(p, shape), batch_size=12, shuffle=True)
    losses = []
    while len(losses) < STEPS:
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            losses.append(loss.item())
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    return losses, state


def assert_equal_trainings(make_model, shape, make_optimizer, schedule=None):
    (losses, state), (wanted_losses, wanted) = (
        train(p, make_model, shape, make_optimizer, schedule) for p in (ours, torch)
    )
    assert losses == pytest.approx(wanted_losses, rel=1e-9)
    assert losses[-1] < losses[0]
    assert list(state) == list(wanted)
    for name, value in state.items():
        scale = max(abs(wanted[name]).max(), 1e-3)
        assert abs(value - wanted[name]).max() <= 1e-9 * scale, name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mlp(name):
    assert_equal_trainings(mlp, (10,), OPTIMIZERS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_convolutional_network(name):
    assert_equal_trainings(Net.of, (1, 8, 8), OPTIMIZERS[name])


SCHEDULES = {
    "one cycle": lambda s, o: s.OneCycleLR(o, max_lr=0.02, total_steps=STEPS + 20),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=STEPS),
    "step": lambda s, o: s.StepLR(o, 30),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_in_training(name):
    assert_equal_trainings(mlp, (10,), OPTIMIZERS["adamw"], SCHEDULES[name])
