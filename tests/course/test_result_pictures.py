"""The pictures of lessons 06 to 10 show what they were given."""

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.course import pictures_films, pictures_results
from d2l_autorec.course.lesson import stored
from d2l_autorec.evaluation.intervals import Interval


def texts(axes):
    return [text.get_text() for text in (axes.title, *axes.texts, *axes.get_yticklabels())]


def points(axes, label):
    (found,) = (item for item in axes.collections if item.get_label() == label)
    return found.get_offsets().tolist()


def test_runs_stand_in_their_thousandth_and_mine_is_marked():
    values = np.array([0.9004, 0.9019, 0.9001])
    figure = pictures_results.runs_and_intervals(values, {"the mean": (0.899, 0.9023)}, 1)
    (axes,) = figure.axes
    assert np.allclose(points(axes, "a run"), [[0.9005, 0], [0.9015, 0], [0.9005, -0.3]])
    assert np.allclose(points(axes, "your run"), [[0.9015, 0]])
    assert {"3 runs", "the mean", "0.8990 to 0.9023"} <= set(texts(axes))


def test_intervals_that_miss_are_drawn_apart():
    figure = pictures_results.coverage(np.array([[0.0, 2], [3, 4], [-1, 1]]), 1.5)
    drawn = {
        item.get_label(): [segment.tolist() for segment in item.get_segments()]
        for item in figure.axes[0].collections
    }
    assert drawn["contains it"] == [[[1, 0], [1, 2]]]
    assert drawn["misses it"] == [[[2, 3], [2, 4]], [[3, -1], [3, 1]]]


def test_spreads_are_those_of_a_sample():
    figure = pictures_results.two_spreads({"a": np.array([1.0, 3.0])})
    assert "standard deviation 1.4142" in texts(figure.axes[0])


def test_models_are_joined_on_each_split_easiest_first():
    first, second = np.array([0.9, 0.8]), np.array([1.0, 0.95])
    left, right = pictures_results.split_by_split(first, second, ("A", "B")).axes
    assert points(left, "A") == [[1, 0.8], [2, 0.9]] and points(left, "B") == [[1, 0.95], [2, 1.0]]
    assert np.allclose([bar.get_height() for bar in right.patches], [0.15, 0.1])


def test_differences_have_their_sign():
    table = {"better": Interval(-0.02, 0.01, 0.005, 5), "worse": Interval(0.03, 0.01, 0.005, 5)}
    (axes,) = pictures_results.differences(table, "A").axes
    assert {"-0.020", "+0.030", "better", "worse"} <= set(texts(axes))


def test_the_dot_is_at_the_best_epoch():
    (axes,) = pictures_results.validation_curves({"a": [1.0, 0.7, 0.8]}).axes
    dots = [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert dots == [[[2, 0.7]]]


def test_sizes_have_means_and_medians():
    runs = pd.DataFrame(
        {"hidden": [10] * 3 + [20] * 3, "test_rmse": [1.0, 2, 3, 4, 4, 4], "epoch": [1, 2, 9] * 2}
    )
    left, right = pictures_results.by_size(runs.groupby("hidden")).axes
    assert left.lines[0].get_xydata().tolist() == [[10, 2], [20, 4]]
    assert right.lines[0].get_xydata().tolist() == [[10, 2], [20, 2]]


def test_depth_counts_layers_and_leaves_out_unequal_ones():
    left, right = pictures_results.by_depth(stored("exercises/depth.csv")).axes
    assert [round(x) for x in left.lines[0].get_xdata()] == [1, 2, 3]
    assert left.containers[-1].get_label() == "500 units"
    assert left.containers[-1].lines[0].get_ydata().tolist() == [0.8819, 0.8949, 0.9056]
    assert right.containers[2].lines[0].get_ydata().tolist() == [0.8873, 0.8811, 0.9004]


def test_activations_stand_in_their_row_and_column():
    left, right = pictures_results.activation_tables(stored("exercises/activations.csv")).axes
    cells = {text.get_position(): text.get_text() for text in left.texts}
    assert (cells[0, 1], cells[1, 1], cells[0, 0]) == ("0.88", "2.77", "1.17")
    assert {text.get_position(): text.get_text() for text in right.texts}[1, 0] == "0.90"


def test_two_people_and_reasons():
    stars = {"one": np.array([4.0, 3]), "two": np.array([2.0, 5])}
    (axes,) = pictures_films.two_people(["A", "a title " * 9], stars).axes
    assert points(axes, "one") == [[4, 0], [3, 1]] and points(axes, "two") == [[2, 0], [5, 1]]
    assert texts(axes)[-1] == "a title a title a title a title …"
    figure = pictures_films.reasons(["A", "B"], [5.0, 2.5], np.array([0.1, -0.2]), "why")
    assert {"A: 5 ★", "B: 2.5 ★", "+0.10", "-0.20", "why"} <= set(texts(figure.axes[0]))


@pytest.fixture
def films():
    genres = ["Children's|Sci-Fi", "Sci-Fi", "Drama", "Romance"]
    return pd.DataFrame({"title": ["A", "B", "C", "D"], "genres": genres})


def test_a_film_on_the_map_has_its_first_kind_and_its_title(films):
    places = np.array([[0.0, 0], [9, 9], [0, 9], [9, 0]])
    (axes,) = pictures_films.film_map(places, films, ["C", "B", "none"], ("x", "y")).axes
    assert points(axes, "Children's") == [[0, 0]] and points(axes, "Sci-Fi") == [[9, 9]]
    assert points(axes, "other") == [[0, 9]] and points(axes, "Action") == []
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["C", "B"]


def test_a_title_without_room_is_left_out(films):
    places = np.zeros((4, 2))
    (axes,) = pictures_films.film_map(places, films, ["A", "B", "C", "D"], ("x", "y")).axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
