"""Checks of the noise: too little of it (denoised, smoothed) and too much."""

from __future__ import annotations

import warnings

import numpy as np

from antidrome.recordings.checks.finding import Problem
from antidrome.recordings.checks.registry import register_check
from antidrome.recordings.checks.units import seems_percent, seems_raw
from antidrome.recordings.checks.view import RecordingView
from antidrome.recordings.noise import nan_median

DENOISED_LEVEL = 0.1
DENOISED_RATIO = 0.7
DENOISED_SHARE = 0.05
SMOOTHED_RATIO = 0.65
SMOOTHED_PERSISTENCE = 0.58
SMOOTHED_LOWEST_RATE_HZ = 7.0
AVERAGED_RETURN, AVERAGED_BEFORE = -0.2, -0.1
LONGEST_AVERAGE = 15
UNFILTERED = (
    "Use the traces before any temporal filter (CaImAn: C + YrA or F_dff; suite2p: F and Fneu, not spks); at a high"
    " frame rate average neighbouring frames instead, one value for each group."
)
FEWEST_FRAMES = 100
NOISY_LEVEL = 15.0


@register_check(id="looks-denoised", severity="warning")
def looks_denoised(view: RecordingView) -> Problem | None:
    """Denoised traces (CaImAn's C, OASIS) fed as ΔF/F: inferred spikes then copy another method's guesses.

    A user's denoised trace had a noise level of 0.08 % Hz^-1/2. In real ground truth a quarter of the neurons lie
    under 0.53 and the lowest at 0.20 (0.11 without neuropil correction), so a low level alone does not count: the
    frame-to-frame residual must also be far below what white noise of that level would leave.
    """
    denoised = _denoised(view)
    if denoised.sum() < max(1, DENOISED_SHARE * denoised.size):
        return None
    level = np.median(view.fast_noise_level[denoised])
    return Problem(
        message=f"{view.share(denoised, 'looks')} denoised: {level:.2g} % Hz^-1/2 of frame-to-frame noise, expected "
        "more than 0.1.",
        fix="Use the traces before denoising (CaImAn: C + YrA or F_dff; suite2p: F and Fneu, not spks).",
        neurons=view.named(denoised),
    )


def _denoised(view: RecordingView) -> np.ndarray:
    """Neurons (neuron,) without frame-to-frame noise though not flat."""
    if view.n_frames < FEWEST_FRAMES or not view.frame_rate_hz or _wrong_scale(view):
        return np.zeros(len(view.labels), dtype=bool)
    low = view.fast_noise_level < DENOISED_LEVEL
    return low & (view.fast_noise_level <= DENOISED_RATIO * view.noise_level) & ~view.is_flat


@register_check(id="looks-smoothed", severity="warning")
def looks_smoothed(view: RecordingView) -> Problem | None:
    """Smoothed traces shift and blur spikes, and the noise level then understates the noise."""
    rate = view.frame_rate_hz
    if rate is None or rate < SMOOTHED_LOWEST_RATE_HZ or view.n_frames < FEWEST_FRAMES:
        return None
    smooth, ratio = _blurred(view)
    if smooth.mean() > 0.5:
        return Problem(
            message=f"{view.share(smooth, 'looks')} smoothed or denoised: neighbouring frames share their noise (ratio "
            f"{np.median(ratio[smooth]):.2f}, white noise gives 1).",
            fix=UNFILTERED,
            neurons=() if smooth.all() else view.named(smooth),
        )
    width = _averaged_frames(view)
    averaged = (width > 0) & ~view.is_flat & ~_denoised(view)
    if averaged.mean() <= 0.5:
        return None
    return Problem(
        message=f"{view.share(averaged, 'looks')} like a moving average: each step from frame to frame returns with the"
        f" opposite sign {int(np.median(width[averaged]))} frames later.",
        fix=UNFILTERED,
        neurons=() if averaged.all() else view.named(averaged),
    )


def _blurred(view: RecordingView) -> tuple[np.ndarray, np.ndarray]:
    """Neurons (neuron,) whose noise is smooth from frame to frame, and the ratio that tells.

    White noise leaves a ratio of 1 between the noise from second and from first differences, and steps keep their
    sign in a third of the frames. A Gaussian of SD one frame gives 0.62 and 0.64; real recordings at 7 Hz and more
    stay on the other side.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = view.fast_noise_level / view.noise_level
    smooth = (ratio < SMOOTHED_RATIO) & (_sign_persistence(view) > SMOOTHED_PERSISTENCE)
    return smooth & ~view.is_flat & ~_denoised(view), ratio


def _averaged_frames(view: RecordingView) -> np.ndarray:
    """Number of frames (neuron,) of the moving average that each trace went through; 0 where there is none.

    Steps of an average of w frames are those of single frames w apart: their correlation is -1/2 at lag w and 0
    before. Unfiltered noise has its -1/2 at lag 1, other filters and slow signals have no such lag. None of 28 real
    ground-truth sets passes for an average, and 17 of them do after one of five frames.
    """
    steps = np.diff(view.dff[:4096], axis=0)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a neuron without any step
        bound = 3 * nan_median(np.abs(steps).T)
        steps = np.clip(steps, -bound, bound)  # spikes are large steps
        power = np.nanmean(steps**2, axis=0)
        lags = range(1, LONGEST_AVERAGE + 1)
        correlation = np.stack([np.nanmean(steps[lag:] * steps[:-lag], axis=0) / power for lag in lags])
    correlation = np.nan_to_num(correlation)
    lowest = correlation.argmin(axis=0)
    before = np.where(np.arange(len(lags))[:, None] < lowest, correlation, 0).min(axis=0)
    certain = AVERAGED_RETURN - 2 / np.sqrt(len(steps))
    found = (lowest > 0) & (correlation.min(axis=0) < certain) & (before > AVERAGED_BEFORE)
    return np.where(found, lowest + 1, 0)


def _sign_persistence(view: RecordingView) -> np.ndarray:
    """Share of consecutive steps of each trace that have the same sign, over about 4,000 frames."""
    steps = np.sign(np.diff(view.dff[:4096], axis=0))
    with np.errstate(invalid="ignore"):
        product = steps[1:] * steps[:-1]
    same, other = (product > 0).sum(axis=0), (product < 0).sum(axis=0)
    return same / np.maximum(same + other, 1)


@register_check(id="too-noisy", severity="warning")
def is_too_noisy(view: RecordingView) -> Problem | None:
    """Above about 15 % Hz^-1/2 networks see spikes in the noise; users were told to leave such neurons out."""
    if _wrong_scale(view):
        return None
    noisy = view.noise_level > NOISY_LEVEL
    if not noisy.any():
        return None
    return Problem(
        message=f"{view.share(noisy, 'has')} a noise level above {NOISY_LEVEL:g} % Hz^-1/2 (highest "
        f"{np.nanmax(view.noise_level):.3g}): spikes may be seen in noise.",
        fix="Leave them out, or check their baseline: F0 near zero inflates ΔF/F.",
        neurons=view.named(noisy),
    )


def _wrong_scale(view: RecordingView) -> bool:
    """Whether the unit is in doubt, so that a noise level in % means nothing."""
    return seems_percent(view) or (not view.is_fluorescence and seems_raw(view))
