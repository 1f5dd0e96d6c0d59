"""Sizes of the variational posteriors, and how they and the generative parameters are fitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from antidrome.errors import InputError
from antidrome.recordings.arguments import one_of
from antidrome.spikes.generative.likelihood import Exposure

Objective = Literal["vimco", "local", "relaxed"]
Prior = Literal["rate", "count"]


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """Sizes of the recognition network; the defaults are those of the paper's factorised network.

    Parameters
    ----------
    kind
        "factorised": steps are independent given the trace. "autoregressive": a GRU runs backwards over the trace, a
        second runs forwards and sees its own sampled spikes, so that samples are joint.
    filters, widths
        Channels and widths (frames) of the convolutions.
    last_width
        Width of the convolution that gives the log odds or the features.
    features
        Features per step that the recurrent part reads (autoregressive).
    units
        Units of each GRU (autoregressive).
    max_count
        Largest number of spikes per step; 1 is the paper's Bernoulli.
    superresolution
        Steps per frame.
    infer_amplitude
        Infer a factor on the amplitude for every window, with a log-normal prior around the cell's own value.
    """

    kind: Literal["factorised", "autoregressive"] = "factorised"
    filters: tuple[int, ...] = (30, 25, 25, 20, 15)
    widths: tuple[int, ...] = (31, 21, 21, 13, 11)
    last_width: int = 11
    features: int = 13
    units: int = 64
    max_count: int = 1
    superresolution: int = 1
    infer_amplitude: bool = False

    def __post_init__(self) -> None:
        if len(self.filters) != len(self.widths) or not self.filters:
            raise InputError(
                f"filters has {len(self.filters)} values and widths {len(self.widths)}; expected one of each for every"
                " convolution."
            )
        smallest = min(*self.filters, *self.widths, self.last_width, self.features, self.units)
        if min(smallest, self.max_count, self.superresolution) < 1:
            raise InputError("Sizes, max_count and superresolution need to be 1 or more.")


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a variational autoencoder is fitted to unlabelled traces.

    Two kinds of steps share the network. A *sleep* step simulates traces from the generative models as they stand, with
    known spikes, and raises log q of these: cheap, of low variance, and never further from the data than the models
    are. A *wake* step draws spikes for real traces and raises the bound: it moves the generative parameters, and with
    ``wake_posterior`` the network too.

    Parameters
    ----------
    sleep_steps, wake_steps
        Steps with simulated traces only, then steps on the recording.
    sleep_in_wake
        Weight of a sleep step inside every wake step; keeps the network in line with the moving models.
    wake_posterior
        Weight of the bound's gradient for the network; 0 leaves the network to the sleep steps.
    objective
        Gradient for discrete spikes in wake steps: "vimco" (importance-weighted bound), "local" (evidence lower bound
        with each step's own future as its signal), or "relaxed" (concrete relaxation).
    samples
        Posterior samples K of a wake step.
    batch
        Windows per step.
    window_frames, buffer_before, buffer_after
        Window length and what is cut off before anything is counted: the model's memory, and the network's context.
    learning_rate, generative_learning_rate
        Of the network, and of the generative parameters on their logarithmic scale.
    clip
        Largest norm of the gradient.
    temperature
        Of the relaxation.
    prior
        "rate": Poisson with a rate per cell that is learnt; "count": the paper's binomial on a window's spike count
        (with "vimco").
    rate_sd, parameter_sd, noise_sd
        SDs (log scale) of the priors on the rate, the model's parameters and the noise, around the initial values.
    parameter_jitter
        SD (log scale) by which parameters vary between simulated windows.
    burst
        Probability that a simulated spike is followed by another in the next step, at most three times: what the
        network takes bursts for. 0: spikes are independent.
    held_out
        Share of the windows that is only used to judge.
    evaluate_every, patience
        Steps between evaluations, and how many without improvement end a phase (0: never).
    supervised
        Weight of known spikes' log probability.
    exposure
        "frame": light is collected during the whole frame, and spikes come at any time in it. "instant": frames are
        read at the end of each step (the paper's simulations).
    """

    sleep_steps: int = 2000
    wake_steps: int = 500
    sleep_in_wake: float = 1.0
    wake_posterior: float = 0.0
    objective: Objective = "vimco"
    samples: int = 16
    batch: int = 20
    window_frames: int = 300
    buffer_before: int = 100
    buffer_after: int = 50
    learning_rate: float = 1e-3
    generative_learning_rate: float = 1e-2
    clip: float = 1.0
    temperature: float = 0.5
    prior: Prior = "rate"
    rate_sd: float = 1.0
    parameter_sd: float = 0.5
    noise_sd: float = 0.15
    parameter_jitter: float = 0.15
    burst: float = 0.0
    held_out: float = 0.1
    evaluate_every: int = 200
    patience: int = 0
    supervised: float = 1.0
    exposure: Exposure = "frame"
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)

    def __post_init__(self) -> None:
        inside = self.window_frames - self.buffer_before - self.buffer_after
        if inside < 1 or min(self.buffer_before, self.buffer_after) < 0:
            raise InputError(
                f"A window of {self.window_frames} frames less its buffers of {self.buffer_before} and"
                f" {self.buffer_after} has nothing left; use a longer window."
            )
        if self.samples < 2 or self.batch < 1:
            raise InputError(f"samples is {self.samples} and batch {self.batch}; expected at least 2 and 1.")
        for name, known in (("objective", Objective), ("prior", Prior), ("exposure", Exposure)):
            one_of(name, getattr(self, name), get_args(known))
        if not 0 <= self.burst < 1:
            raise InputError(f"burst is {self.burst}; expected a probability below 1.")
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}; expected a share between 0 and 1.")
