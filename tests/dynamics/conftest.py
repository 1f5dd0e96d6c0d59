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
    kept = {key: statistics[key][columns] for key in ("mean", "variance", "n_observed")}
    return Session(name, values, columns, rows[columns], segment, **kept)


def make_data(values, rows=None, segment=None, gain=None):
    session = make_session(values, rows, segment)
    return SessionData(session, np.ones(len(session.rows)) if gain is None else gain)


@pytest.fixture
def session_of():
    return make_session


@pytest.fixture
def data_of():
    return make_data
