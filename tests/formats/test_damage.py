"""A model file of which anything changed is refused by name: never another number without a word."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import antidrome as ad
from antidrome.errors import ModelFileError

HERE = Path(__file__).parent / "0.1.0-sealed"
LOADERS = {
    "snpe": ad.SNPE.load,
    "stitched_lds": ad.StitchedLDS.load,
    "two_nn": ad.TwoNN.load,
    "spike_vae": ad.SpikeVAE.load,
    "spike_vae_shared": ad.SpikeVAE.load,
}
PLACE = st.floats(0, 1, exclude_max=True)
DAMAGES = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(1, 255)),
    st.tuples(st.just("cut out"), PLACE, st.integers(1, 200)),
    st.tuples(st.just("insert"), PLACE, st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("overwrite"), PLACE, st.binary(min_size=2, max_size=200)),
    st.tuples(st.just("end"), PLACE, st.just(0)),
)


def damaged(content: bytes, kind: str, place: float, what: int | bytes) -> bytes:
    """The content of a file after something happened to it."""
    start = int(place * len(content))
    before, after = content[:start], content[start:]
    return {
        "flip": lambda: before + bytes([after[0] ^ what]) + after[1:],
        "cut out": lambda: before + after[what:],
        "insert": lambda: before + what + after,
        "overwrite": lambda: before + what + after[len(what) :],
        "end": lambda: before,
    }[kind]()


@pytest.mark.parametrize("name", LOADERS)
@given(damages=st.lists(DAMAGES, min_size=1, max_size=2))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_model_is_refused_by_name(name, damages, tmp_path):
    content = whole = (HERE / f"{name}.safetensors").read_bytes()
    for damage in damages:
        content = damaged(content, *damage) if content else content
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(content)
    if content == whole:
        return
    with pytest.raises(ModelFileError) as refused:
        LOADERS[name](path)
    assert str(path) in str(refused.value)


def test_a_flipped_bit_anywhere_is_refused(tmp_path, happened):
    refused, intact = [], []
    for name, load in LOADERS.items():
        content = (HERE / f"{name}.safetensors").read_bytes()
        path = tmp_path / f"{name}.safetensors"
        for place in range(0, len(content), max(1, len(content) // 20)):
            path.write_bytes(damaged(content, "flip", place / len(content), 0x40))
            with pytest.raises(ModelFileError, match=f"{name}.safetensors: "):
                load(path)
        refused.append(load.__self__.__name__)
        path.write_bytes(content)
        intact.append(load(path))
    assert len(intact) == len(LOADERS)
    happened(f"files of {', '.join(dict.fromkeys(refused))}: refused by name, wherever it was")
