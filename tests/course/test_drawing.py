"""The drawing shows what it says: ratings with gaps on the left, a rating for everybody."""

from d2l_autorec.course.drawing import GIVEN_BACK, READ, UNITS, network, write


def test_every_user_is_given_a_rating_and_only_the_known_are_read(tmp_path):
    (axes,) = network().axes
    texts = [text.get_text() for text in axes.texts]
    cells = axes.patches
    assert len(cells) == 2 * len(READ)
    assert [cell.get_linestyle() == ":" for cell in cells].count(True) == READ.count("") > 0
    assert all(1 <= float(text) <= 5 for text in GIVEN_BACK)
    assert [text for text in texts if text in GIVEN_BACK] == list(GIVEN_BACK)
    assert sum(text.startswith("user ") for text in texts) == len(READ) == len(GIVEN_BACK)
    lines = 2 * UNITS * len(READ)
    assert len(axes.lines) == lines + 2 * UNITS  # connections, and a circle and a curve a unit
    write(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"network.png", "network.svg"}
