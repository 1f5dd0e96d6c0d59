"""Numbers and names in messages."""

import numpy as np
import pytest

from antidrome.recordings.arguments import counted, listing


@pytest.mark.parametrize(
    ("n", "noun", "verb", "of", "said"),
    [
        (1, "neuron", "", None, "1 neuron"),
        (0, "neuron", "", None, "0 neurons"),
        (np.int64(12_345), "spike train", "", None, "12,345 spike trains"),
        (2, "infinite entry", "", None, "2 infinite entries"),
        (1, "frame", "was", None, "1 frame was"),
        (2, "frame", "was", None, "2 frames were"),
        (1, "neuron", "has", 6, "1 of 6 neurons has"),
        (np.True_, "neuron", "is", 1, "1 of 1 neuron is"),
        (3, "neuron", "looks", 1200, "3 of 1,200 neurons look"),
    ],
)
def test_a_number_agrees_with_its_noun_and_verb(n, noun, verb, of, said):
    assert counted(n, noun, verb, of=of) == said


def test_a_long_list_is_cut():
    assert listing(range(3), 2) == "'0', '1' and 1 more"
