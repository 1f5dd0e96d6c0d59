"""Names of files, and different names for things that share one."""

from antidrome.core.names import LONGEST, slug, unique


def test_a_slug_is_a_safe_part_of_a_file_name() -> None:
    assert slug("mouse 7/day:1.b") == "mouse_7_day_1.b"
    assert slug("../..") == "session"
    assert slug("", empty="network") == "network"
    long = [slug("é" * 100 + end) for end in "ab"]
    assert long[0] != long[1]
    assert all(len(one.encode()) <= LONGEST for one in long)


def test_equal_names_are_numbered() -> None:
    assert unique(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]
    assert unique(["Day 1", "day_1"]) == ["Day 1", "day_1-2"], "they would be the same file"
    assert unique(["Day 1", "day_1"], key=str) == ["Day 1", "day_1"]
