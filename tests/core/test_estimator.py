"""What every estimator shares: copies, refusal of pickles, how it shows itself."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from antidrome.core.estimator import Estimator


class Scale(Estimator):
    """A small estimator."""

    def __init__(self, factor=2.0, *, name="x", seed=0):
        self.factor = factor
        self.name = name
        self.seed = seed

    def fit(self, x):
        self.scale_ = self.factor * float(np.mean(x))
        self.values_ = np.asarray(x)
        self.notes_ = ["<b>one</b>"]
        return self


def test_a_pickle_is_refused_with_the_remedy():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"Use \.save\(path\) and Scale\.load\(path\)"):
            pickle.dumps(Scale(), protocol)


def test_copies_are_what_they_should_be():
    fitted = Scale(3.0).fit([1.0, 2.0])
    shallow, deep, bare = copy.copy(fitted), copy.deepcopy(fitted), clone(fitted)
    assert shallow.values_ is fitted.values_
    assert deep.values_ is not fitted.values_
    np.testing.assert_array_equal(deep.values_, fitted.values_)
    assert bare.get_params() == fitted.get_params()
    assert not hasattr(bare, "scale_")


def test_it_shows_what_was_chosen_and_found_and_escapes_it():
    shown = Scale(3.0, name="<script>").fit([1.0, 2.0])._repr_html_()
    assert "factor" in shown
    assert "seed" not in shown
    assert "&lt;script&gt;" in shown
    assert "<b>one" not in shown
    assert "4.5" in shown
    assert "ndarray 2" in shown
    assert "not fitted yet" in Scale()._repr_html_()
