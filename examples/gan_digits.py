"""Two networks play against each other: one draws digits, the other tells them from real ones.

Generative adversarial networks (I. Goodfellow et al., 2014), with convolutions as in DCGAN
(A. Radford, L. Metz, S. Chintala, 2016) and a discriminator held smooth by spectral norm (T. Miyato
et al., 2018).

    python examples/gan_digits.py
"""

import argparse

import helpers
from sklearn.datasets import load_digits

import tinygrad_like as torch
from tinygrad_like import nn
from tinygrad_like.nn.utils.parametrizations import spectral_norm
from tinygrad_like.utils.data import DataLoader, TensorDataset


def make_generator(latent):
    """Return a network from noise (N, latent, 1, 1) to pictures (N, 1, 8, 8) in [-1, 1]."""
    return nn.Sequential(
        *(nn.ConvTranspose2d(latent, 64, 2, bias=False), nn.BatchNorm2d(64), nn.ReLU()),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1, bias=False),
        *(nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1), nn.Tanh()),
    )


def make_discriminator():
    """Return a network from pictures (N, 1, 8, 8) to how real they look (N,), a logit."""
    return nn.Sequential(
        *(spectral_norm(nn.Conv2d(1, 32, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)),
        *(spectral_norm(nn.Conv2d(32, 64, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)),
    )


def main():
    """Let both learn in turn, and show digits from the same noise as training goes on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    real = torch.tensor(load_digits().images[:, None] / 8 - 1, dtype=torch.float32)
    loader = DataLoader(TensorDataset(real), batch_size=64, shuffle=True, drop_last=True)
    generator, discriminator = make_generator(args.latent), make_discriminator()
    makes = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    judges = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.99))
    softplus = nn.functional.softplus
    shown = torch.randn(12, args.latent, 1, 1)
    rows, tricks = [], []
    progress = helpers.Progress(range(args.epochs))
    for epoch in progress:
        for (pictures,) in loader:
            made = generator(torch.randn(len(pictures), args.latent, 1, 1))
            loss = softplus(-discriminator(pictures)).mean()
            loss = loss + softplus(discriminator(made.detach())).mean()
            judges.zero_grad()
            loss.backward()
            judges.step()
            progress.note(loss)
            trick = softplus(-discriminator(made)).mean()
            makes.zero_grad()
            trick.backward()
            makes.step()
            tricks.append(trick.item())
        if epoch % max(args.epochs // 6, 1) == 0 or epoch == args.epochs - 1:
            with torch.no_grad():
                rows.append(list(generator.eval()(shown)[:, 0].numpy()))
            generator.train()
    print(f"discriminator {progress.losses[-1]:.3f}, generator {tricks[-1]:.3f}")
    helpers.curves("gan-loss.png", discriminator=progress.losses, generator=tricks)
    helpers.images("gan-digits.png", rows)


if __name__ == "__main__":
    main()
