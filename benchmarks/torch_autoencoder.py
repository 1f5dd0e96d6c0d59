"""The autoencoder of `spikes_training` in eager PyTorch, of the same sizes: the peer that is timed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from antidrome.spikes.variational import FitConfig

N_CHANNELS = 5


class Autoencoder(nn.Module):
    """Recognition network, generative model of one cell, and the VIMCO loss."""

    def __init__(self, config: FitConfig, *, autoregressive: bool) -> None:
        super().__init__()
        self.config, self.autoregressive = config, autoregressive
        sizes = config.posterior
        last = sizes.features if autoregressive else 1
        channels, widths = (N_CHANNELS, *sizes.filters, last), (*sizes.widths, sizes.last_width)
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            layers += [nn.Conv1d(channels[i], channels[i + 1], width, padding="same"), nn.LeakyReLU(0.2)]
        self.stack = nn.Sequential(*(layers if autoregressive else layers[:-1]))
        self.backward_gru = nn.GRU(sizes.features + N_CHANNELS, sizes.units, batch_first=True)
        self.cell = nn.GRUCell(sizes.features + N_CHANNELS + sizes.units + 1, sizes.units)
        self.readout = nn.Linear(sizes.units, 1)
        self.raw = nn.Parameter(torch.tensor([3.0, 0.0, 0.0, -2.5, 2.0, -5.0, 0.8]))

    def draw(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes and their log probability, (sample, batch, time)."""
        if not self.autoregressive:
            logits = self.stack(inputs)[:, 0] - 3.0
            logits = logits.expand(self.config.samples, *logits.shape)
            spikes = torch.bernoulli(torch.sigmoid(logits).detach())
            return spikes, -nn.functional.binary_cross_entropy_with_logits(logits, spikes, reduction="none")
        read = torch.cat([self.stack(inputs), inputs], dim=1).transpose(1, 2)
        context = self.backward_gru(read.flip(1))[0].flip(1)
        read = torch.cat([read, context], dim=2)
        n, time = self.config.samples, read.shape[1]
        state = read.new_zeros(n * len(read), self.cell.hidden_size)
        before = read.new_zeros(n * len(read), 1)
        drawn, scores = [], []
        for t in range(time):
            now = read[:, t].repeat(n, 1)
            state = self.cell(torch.cat([now, before], dim=1), state)
            logits = self.readout(state) - 4.0
            before = torch.bernoulli(torch.sigmoid(logits).detach())
            drawn.append(before)
            scores.append(-nn.functional.binary_cross_entropy_with_logits(logits, before, reduction="none"))
        shape = (n, len(read), time)
        return torch.cat(drawn, dim=1).reshape(shape), torch.cat(scores, dim=1).reshape(shape)

    def fluorescence(self, spikes: Tensor) -> Tensor:
        """AR(1), or SCDF, step by step."""
        factor, gain, baseline = torch.sigmoid(self.raw[0]), nn.functional.softplus(self.raw[1]), self.raw[2]
        calcium, dye, out = torch.zeros_like(spikes[..., 0]), torch.zeros_like(spikes[..., 0]), []
        if self.autoregressive:
            keep, binding = torch.sigmoid(self.raw[4]), nn.functional.softplus(self.raw[5])
            hill = 1 + nn.functional.softplus(self.raw[6])
        for t in range(spikes.shape[-1]):
            calcium = factor * calcium + spikes[..., t]
            if self.autoregressive:
                bound = dye.clamp(max=6.0)
                dye = binding * (calcium + 1e-6) ** hill * (6.0 - bound) + keep * bound
                out.append(dye)
            else:
                out.append(calcium)
        return gain * torch.stack(out, dim=-1) + baseline

    def vimco_loss(self, traces: Tensor) -> Tensor:
        """Minus the importance-weighted bound, with the VIMCO gradient."""
        inputs = torch.stack([traces, torch.asinh(traces), *[torch.ones_like(traces)] * 3], dim=1)
        spikes, log_q = self.draw(inputs)
        sd = nn.functional.softplus(self.raw[3])
        density = -0.5 * ((traces - self.fluorescence(spikes)) / sd) ** 2 - torch.log(sd)
        inside = slice(self.config.buffer_before, self.config.window_frames - self.config.buffer_after)
        count = spikes[..., inside].sum(-1)
        log_q = log_q[..., inside].sum(-1)
        log_weight = density[..., inside].sum(-1) + count * math.log(0.015) - log_q
        n = len(log_weight)
        bound = torch.logsumexp(log_weight, 0) - math.log(n)
        others = log_weight.unsqueeze(0).repeat(n, 1, 1)
        others = others.masked_fill(torch.eye(n, dtype=torch.bool).unsqueeze(-1), -torch.inf)
        signal = (bound - torch.logsumexp(others, 1) + math.log(n - 1)).detach()
        share = torch.softmax(log_weight, 0).detach()
        return -(share * log_weight + signal * log_q).sum(0).mean()
