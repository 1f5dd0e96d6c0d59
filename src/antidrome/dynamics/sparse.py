"""Sparse events (scipy.sparse, frames in rows): products that cost what the events cost, centred implicitly."""

from __future__ import annotations

from typing import Any

import numpy as np

from antidrome.core.digests import frame_weights, spelled_out
from antidrome.dynamics.population import Session


def is_sparse(values: Any) -> bool:
    """Whether values are stored as events alone."""
    return hasattr(values, "tocsr")


def project(session: Session, gain: np.ndarray, loadings: np.ndarray) -> np.ndarray:
    """(S − 1 mᵀ) g C for a complete session, (frame, latent); zero outside all segments."""
    scaled = gain[:, None] * loadings
    wide = np.zeros((session.values.shape[1], loadings.shape[1]))
    wide[session.columns] = scaled
    result = np.asarray(session.values @ wide) - session.mean @ scaled
    result[session.segment < 0] = 0
    return result


def back_project(session: Session, gain: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """((S − 1 mᵀ) g)ᵀ G for a complete session, (neuron, latent)."""
    inside = mixture * (session.segment >= 0)[:, None]
    events = np.asarray(session.values.T @ inside)[session.columns]
    return gain[:, None] * (events - np.multiply.outer(session.mean, inside.sum(axis=0)))


def statistics(values: Any, segment: np.ndarray) -> dict[str, np.ndarray] | None:
    """As `data.column_statistics`; None where an event is NaN or infinite."""
    used = values.tocsr()[segment >= 0].astype(np.float64)
    if not np.isfinite(used.data).all():
        return None
    n_frames = used.shape[0]
    mean = np.asarray(used.sum(axis=0)).ravel() / max(n_frames, 1)
    centred = used.tocsc()
    n_events = np.diff(centred.indptr)
    deviation = centred.data - np.repeat(mean, n_events)
    column = np.repeat(np.arange(used.shape[1]), n_events)
    squares = np.bincount(column, weights=deviation**2, minlength=used.shape[1]) + (n_frames - n_events) * mean**2
    some_zero = n_events < n_frames
    least, greatest = np.where(some_zero, 0, np.inf), np.where(some_zero, 0, -np.inf)
    np.minimum.at(least, column, centred.data)
    np.maximum.at(greatest, column, centred.data)
    terms = spelled_out(centred.data) * frame_weights(0, len(segment))[segment >= 0][centred.indices]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    count = np.full(used.shape[1], float(n_frames))
    return {
        "n_observed": count,
        "mean": mean,
        "variance": squares / np.maximum(count, 1),
        "n_infinite": np.zeros(used.shape[1]),
        "least": np.minimum(least, 0),
        "varies": greatest > least,
        "whole": np.bincount(column, weights=centred.data % 1 != 0, minlength=used.shape[1]) == 0,
        "digest": sums[centred.indptr[1:]] - sums[centred.indptr[:-1]],
    }
