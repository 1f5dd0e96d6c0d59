"""Small sessions with known everything."""

import numpy as np
import pytest

from antidrome.dynamics.data import SessionData, column_statistics
from antidrome.dynamics.population import Session


def make_session(values, rows=None, segment=None, name="s"):
    values = np.asarray(values) if isinstance(values, list) else values
    segment = np.zeros(values.shape[0], np.int32) if segment is None else np.asarray(segment, np.int32)
    statistics = column_statistics(values, segment, name)
    columns = np.flatnonzero(statistics["n_observed"] > 0)
    rows = np.arange(values.shape[1]) if rows is None else np.asarray(rows)
    kept = {key: statistics[key][columns] for key in ("mean", "variance", "n_observed", "least", "whole", "digest")}
    return Session(name, values, columns, rows[columns], segment, **kept)


def make_data(values, rows=None, segment=None, gain=None):
    session = make_session(values, rows, segment)
    return SessionData(session, np.ones(len(session.rows)) if gain is None else gain)


def unseen_pairs_correlation(model, truth):
    order = model.neurons_.astype(int)
    seen = model.observed_.astype(int)
    pairs = np.triu(seen.T @ seen == 0, 1)
    predicted = model.predict_covariance(np.arange(len(order))).values
    return np.corrcoef(predicted[pairs], truth.covariance[np.ix_(order, order)][pairs])[0, 1]


@pytest.fixture
def session_of():
    return make_session


@pytest.fixture
def data_of():
    return make_data


@pytest.fixture
def unseen_correlation():
    """``(model, truth)`` → correlation of predicted and true covariances over pairs never recorded together."""
    return unseen_pairs_correlation
