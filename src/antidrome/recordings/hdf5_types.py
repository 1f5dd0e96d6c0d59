"""Types of HDF5 attributes and datasets that HDF5 does not survive reading, found before anything is read."""

import h5py

from antidrome.errors import FileFormatError


def require_sound_types(thing: h5py.Group | h5py.Dataset, where: str) -> None:
    """Raise FileFormatError if a value of variable length is neither a list nor a text, in an attribute or the data.

    HDF5 takes the kind from the file unseen and reads from nowhere where it is another (HDF5 File Format Specification
    3.0, section IV.A.2.d, class 9).
    """
    try:
        for index in range(h5py.h5a.get_num_attrs(thing.id)):
            attribute = h5py.h5a.open(thing.id, index=index)
            _require_sound(attribute.get_type(), f"{where}, attribute {attribute.name.decode(errors='replace')!r}")
        if isinstance(thing, h5py.Dataset):
            _require_sound(thing.id.get_type(), where)
    except FileFormatError:
        raise
    except (KeyError, OSError, RuntimeError, ValueError, TypeError) as error:  # what h5py makes of damage
        raise FileFormatError(f"{where} cannot be read, the file is damaged: {error}") from error


def _require_sound(kind: h5py.h5t.TypeID, where: str) -> None:
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        for index in range(kind.get_nmembers()):
            _require_sound(kind.get_member_type(index), where)
    elif isinstance(kind, h5py.h5t.TypeArrayID):
        _require_sound(kind.get_super(), where)
    elif isinstance(kind, h5py.h5t.TypeVlenID):  # texts are of another type in h5py; a list says 0
        if kind.encode()[3] & 0x0F:
            raise FileFormatError(
                f"{where}: the file is damaged, these values are neither lists nor texts. Copy it again."
            )
        _require_sound(kind.get_super(), where)
