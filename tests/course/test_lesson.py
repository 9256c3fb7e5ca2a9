"""What the lessons share."""

import numpy as np
import pandas as pd
import pytest

from d2l_autorec.course import drawing, lesson, pictures, pictures_network
from d2l_autorec.errors import InputError


def test_titles_are_turned_round_and_ids_are_movielens_s(ml100k):
    ratings = lesson.movielens()
    assert ratings.items["title"][[49, 194]].tolist() == ["Star Wars", "The Terminator"]
    assert (ratings.user_ids == np.arange(1, 944)).all()
    assert (ratings.item_ids == np.arange(1, 1683)).all()


def test_each_student_and_task_has_numbers_of_its_own():
    first = lesson.small_matrix(1, "a")
    assert (first == lesson.small_matrix(1, "a")).all()
    assert (first != lesson.small_matrix(2, "a")).any()
    assert (first != lesson.small_matrix(1, "b")).any()
    assert first.shape == (6, 8) and set(np.unique(first)) <= {0, 1, 2, 3, 4, 5}
    assert all((first > 0).any(axis).all() for axis in (0, 1))


def test_stored_results_are_read_and_their_absence_is_said():
    assert {"seed", "test_rmse"} <= set(lesson.stored("study/runs.csv"))
    with pytest.raises(InputError, match=r"results/study/none\.csv is not at hand"):
        lesson.stored("study/none.csv")


def test_a_shown_figure_is_a_png_with_words():
    shown = lesson.show(drawing.network(), "what it shows")
    assert shown.data.startswith(b"\x89PNG") and shown.alt == "what it shows"


def texts(figure):
    return [
        text.get_text()
        for axes in figure.axes
        for text in (axes.title, *axes.texts, *axes.get_yticklabels())
    ]


def test_the_pictures_say_what_is_true():
    table = pd.DataFrame({"item": [0, 0, 0, 1, 2, 2], "rating": [1.0, 2, 3, 4, 5, 5]})
    said = texts(pictures.stars(table))
    assert "mean 3.33 " in said and "half of all ratings\nare of these 1 films" in said
    matrix = np.array([[5, 0, 0, 1], [0, 0, 3, 0]])
    said = texts(pictures.sparsity(matrix, (1, 1)))
    assert "3 of 8 cells hold a rating: 37.5%" in said
    said = texts(pictures.guesses({"one": (1.0, 2.0), "two": (3.0, 0.5)}))
    assert {"1.00", "2.00", "3.00", "0.50"} <= set(said)
    said = texts(pictures.ladder({"the mean": 1.126}))
    assert {"1.126", "0.901"} <= set(said)
    model = 3.5, np.array([0.25, -1.0]), np.array([0.5])
    assert {" 4.25", " 3.00"} <= set(texts(pictures.sums(model, 0, {"a": 0, "b": 1})))
    held_out, predicted = np.array([[1, 0, 1, 5, 5]]), np.array([[2.0, 9, 3, 4, 5]])
    said = texts(pictures_network.predicted_and_actual(held_out, predicted))
    assert {"2.5", "4.5"} <= set(said)


def test_the_masked_picture_is_empty_where_the_input_is():
    rows, output = np.array([[5, 0]]), np.array([[3.2, 4.4]])
    figure = pictures_network.mask(rows, output)
    shown = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert shown == [["5", "0"], ["3.2", "4.4"], ["1", "0"], ["3.2", "0"]]


def test_reported_and_true_scores_stand_where_they_are():
    figure = pictures_network.reported_and_true({"A": (1.0, 2.0), "B": (3.0, 0.5)}, 1.5)
    points = {
        item.get_label(): item.get_offsets()[:, 0].tolist()
        for item in figure.axes[0].collections
        if item.get_label() in ("true", "reported")
    }
    assert points == {"true": [2.0, 0.5], "reported": [1.0, 3.0]}
