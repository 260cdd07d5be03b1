"""A variational autoencoder learns what digits look like, and draws some that nobody wrote.

The loss is the evidence lower bound (D. Kingma, M. Welling, 2014, equation 10): how well a picture
is drawn again from two numbers with noise, and how far these are from normally distributed.

    python examples/vae.py
"""

import argparse

import helpers
import numpy as np
from sklearn.datasets import load_digits

import tinygrad_like as torch
from tinygrad_like import nn
from tinygrad_like.utils.data import DataLoader, TensorDataset


class VAE(nn.Module):
    """Pictures (N, 64) to numbers (N, latent) and back."""

    def __init__(self, latent, size=128):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, size), nn.SiLU(), nn.Linear(size, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, size),
            nn.SiLU(),
            nn.Linear(size, size),
            nn.SiLU(),
            nn.Linear(size, 64),
        )

    def forward(self, x):
        """Return the pictures drawn again, and mean and log variance of their numbers."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def bound(drawn, x, mean, log_variance):
    """Return the negative evidence lower bound of each picture, in nats, averaged."""
    again = nn.functional.binary_cross_entropy_with_logits(drawn, x, reduction="sum")
    apart = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
    return (again + apart) / len(x)


def main():
    """Train, then draw digits from a grid of numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--latent", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    digits = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    loader = DataLoader(TensorDataset(digits), batch_size=64, shuffle=True)
    model = VAE(args.latent)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    progress = helpers.Progress(range(args.epochs))
    for _ in progress:
        for (x,) in loader:
            drawn, mean, log_variance = model(x)
            loss = bound(drawn, x, mean, log_variance)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress.note(loss)
    with torch.no_grad():
        drawn, mean, log_variance = model(digits)
        print(f"bound {bound(drawn, digits, mean, log_variance).item():.2f} nats a digit")
        side = torch.linspace(-2, 2, 12)
        grid = torch.zeros(12, 12, args.latent)
        grid[..., 0], grid[..., 1] = side[None], side[:, None]
        pictures = torch.sigmoid(model.decoder(grid)).reshape(12, 12, 8, 8)
    helpers.curves("vae-loss.png", bound=np.array(progress.losses))
    helpers.images("vae-digits.png", list(pictures.numpy()))


if __name__ == "__main__":
    main()
