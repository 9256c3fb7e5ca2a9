"""What one visitor of the lab sees and does."""

from __future__ import annotations

from functools import partial
from typing import Any

from nicegui import run, ui

from d2l_autorec.config import CHAPTER
from d2l_autorec.course.lab import advice, charts
from d2l_autorec.course.lab.charts import Line
from d2l_autorec.course.lab.material import Material
from d2l_autorec.course.lab.trainings import MAX_DROPOUT, Settings, Training, Trainings
from d2l_autorec.errors import InputError
from d2l_autorec.models.activations import ACTIVATIONS

NUM_RUNS = 1 + len(charts.EARLIER)
NUM_FILMS = 8  # to rate, before more are searched for
MAX_FOUND = 5000  # films that the search knows

CARD = "w-full p-4 gap-2"
STYLE = """
.nicegui-content { max-width: 80rem; margin: 0 auto; padding: 1rem }
.q-table td { white-space: normal; font-size: 15px } .q-table th { font-size: 14px }
"""


class Visit:
    """One visitor's page: settings, runs and rated films. Two pages share nothing."""

    def __init__(self, material: Material, trainings: Trainings) -> None:
        self.material = material
        self.trainings = trainings
        self.runs: list[Training] = []
        self.stars: dict[int, float] = {}
        self.listed: list[int] = []
        self.shown: Any = None
        self.lines = [
            Line("the mean of all ratings", material.mean_rmse, "#7f7f7f"),
            Line("user and item biases", material.biases_rmse, "#1f77b4"),
        ]
        if material.is_chapters:
            self.lines.append(Line("AutoRec in the book", float(CHAPTER.test_rmse), "#000000"))

    def build(self) -> None:
        """Put the elements on the page."""
        ui.add_css(STYLE)
        ui.colors(primary="#1f5fa8")
        ratings = self.material.ratings
        _heading("AutoRec lab", 1)
        ui.label(
            f"{ratings.name}: {len(ratings.table):,} ratings, {ratings.num_users:,} users, "
            f"{ratings.num_items:,} items. Train on 90 % of them, and watch the error on the rest."
        )
        for narrow, wide in (
            (self._build_settings, self._build_curves),
            (self._build_films, self._build_advice),
        ):
            with ui.element("div").classes("w-full grid grid-cols-1 md:grid-cols-3 gap-4"):
                with ui.card().classes(CARD):
                    narrow()
                with ui.card().classes(CARD + " md:col-span-2"):
                    wide()
        ui.timer(0.25, self.refresh)

    def _build_settings(self) -> None:
        start = Settings()
        _heading("1. Train")
        hidden = ui.number("Hidden units", value=start.hidden, format="%d").classes("w-full")
        encoder = ui.select(list(ACTIVATIONS), label="Activation", value=start.encoder)
        encoder.classes("w-full")
        shown = ui.label().classes("text-sm mt-2")
        dropout = ui.slider(min=0, max=MAX_DROPOUT, step=0.05, value=start.dropout)
        shown.bind_text_from(dropout, "value", lambda value: f"Dropout: {value:g}")
        epochs = ui.number("Epochs", value=start.num_epochs, format="%d").classes("w-full")
        mask = ui.switch("Mask: learn from rated entries only", value=start.mask)
        said = "Without the mask, the network learns that a film nobody rated has 0 stars."
        without = ui.label(said).classes("text-sm text-gray-700")
        without.bind_visibility_from(mask, "value", lambda value: not value)
        self.chosen = (hidden, encoder, dropout, epochs, mask)
        with ui.row().classes("w-full no-wrap"):
            ui.button("Train", on_click=self.train).classes("grow")
            self.stop_button = ui.button("Stop", on_click=self.stop).props("outline")
        self.stop_button.disable()
        self.refusal = ui.label().classes("text-red-800 font-medium").props("role=alert")
        self.status = ui.label("Not trained yet.").props("role=status aria-live=polite")

    def _build_curves(self) -> None:
        self.close_up = ui.switch("Close up: below the mean's RMSE", on_change=self._draw)
        self.rmse_chart = ui.echart(self._options("rmse")).classes("w-full h-80")
        self.loss_chart = ui.echart(self._options("train_loss")).classes("w-full h-44")
        self.scores = ui.element("div").classes("w-full")
        self._show_scores()

    def _build_films(self) -> None:
        _heading("2. Rate a few films")
        self.films = ui.column().classes("w-full gap-1")
        popular = self.material.by_popularity
        for code in popular[:NUM_FILMS]:
            self._add_film(code)
        self.more = {code: self.material.title(code) for code in popular[NUM_FILMS:MAX_FOUND]}
        self.search = ui.select(
            self.more, label="Find another film", with_input=True, on_change=self.find
        ).classes("w-full")

    def _build_advice(self) -> None:
        _heading("3. What would you like?")
        self.hint = ui.label("Train a network, and rate a film.")
        with ui.element("div").classes("w-full grid grid-cols-1 lg:grid-cols-2 gap-4"):
            self.of_network = self._table("AutoRec", ("was", "Before"))
            self.of_biases = self._table("Biases alone: the same for all")
        self._show_biases()

    def _table(self, title: str, *more: tuple[str, str]) -> ui.table:
        names = [("rank", ""), ("title", "Film"), ("stars", "Stars"), *more]
        columns = [{"name": n, "field": n, "label": label, "align": "left"} for n, label in names]
        table = ui.table(rows=[], columns=columns, row_key="rank", title=title)
        return table.props("dense flat bordered wrap-cells hide-no-data")

    def train(self) -> None:
        """Begin a training with the settings, or say what is wrong with them."""
        self.stop()
        try:
            settings = Settings(*(control.value for control in self.chosen))
        except InputError as error:
            self.refusal.set_text(str(error))
            return
        self.refusal.set_text("")
        self.runs = [*self.runs, self.trainings.begin(settings)][-NUM_RUNS:]

    def stop(self) -> None:
        """Stop the visitor's training, if there is one."""
        for training in self.runs:
            training.stop()

    async def refresh(self) -> None:
        """Show how far the newest training has come."""
        if not self.runs:
            return
        newest = self.runs[-1]
        waiting = self.trainings.before(newest) if newest.state == "waiting" else 0
        seen = (id(newest), newest.state, len(newest.epochs), waiting)
        if seen == self.shown:
            return
        self.shown = seen
        self.status.set_text(_status(newest, waiting))
        self.stop_button.set_enabled(not newest.is_over)
        self._draw()
        self._show_scores()
        if newest.state == "done":
            for earlier in self.runs[:-1]:
                earlier.model = None  # which is no longer asked
            await self.advise()

    def _coloured(self) -> list[tuple[Training, str]]:
        colors = (charts.NEWEST, *charts.EARLIER)
        return list(zip(self.runs, colors[len(self.runs) - 1 :: -1]))

    def _draw(self) -> None:
        for chart, what in ((self.rmse_chart, "rmse"), (self.loss_chart, "train_loss")):
            chart.options.clear()
            chart.options.update(self._options(what))
            chart.update()

    def _options(self, what: str) -> dict[str, Any]:
        lines = self.lines if what == "rmse" else ()
        most = self.material.mean_rmse if lines and self.close_up.value else None
        return charts.options(self._coloured(), what, lines, most)

    def _show_scores(self) -> None:
        self.scores.clear()
        rows = [(line.color, line.name, line.rmse) for line in self.lines]
        for training, color in self._coloured():
            rmse = training.epochs[-1].rmse if training.epochs else None
            if rmse is not None:
                rows.append((color, str(training.settings), rmse))
        with self.scores, ui.element("div").classes("grid grid-cols-[auto_1fr_auto] gap-x-3"):
            for color, name, rmse in rows:
                ui.label("■").style(f"color: {color}").props("aria-hidden=true")
                ui.label(name)
                ui.label(f"{rmse:.3f}").classes("tabular-nums text-right")

    def _add_film(self, code: int) -> None:
        (low, high), title = self.material.range, self.material.title(code)
        with self.films, ui.row().classes("w-full items-center no-wrap justify-between"):
            ui.label(title).classes("leading-tight")
            rate = partial(self.rate, code)
            stars: ui.rating | ui.number
            if high == 5:
                stars = ui.rating(max=5, icon="star_border", icon_selected="star", size="sm")
                stars.on_value_change(rate).props("color=amber-9 no-dimming")
            else:
                stars = ui.number(min=low, max=high, on_change=rate).props("dense")
                stars.classes("w-20")
            stars.props["aria-label"] = f"Stars for {title}"

    def find(self, event: Any) -> None:
        """Add a film to those to rate."""
        if event.value is not None:
            self._add_film(event.value)
            del self.more[event.value]
            self.search.set_options(self.more, value=None)
            self.search.run_method("updateInputValue", "")

    async def rate(self, code: int, event: Any) -> None:
        """Take the visitor's rating of a film, or take it back."""
        (low, high), stars = self.material.range, event.value
        if not stars:
            self.stars.pop(code, None)
        elif low <= stars <= high:
            self.stars[code] = float(stars)
        self._show_biases()
        await self.advise()

    def _show_biases(self) -> None:
        self.of_biases.rows = _numbered(advice.by_biases(self.material, self.stars), None)

    async def advise(self) -> None:
        """Ask the newest network that is trained what the visitor would like."""
        done = [(made.settings, made.model) for made in self.runs if made.model is not None]
        if not done or not self.stars:
            self.hint.set_text("Rate a film." if done else "Train a network.")
            self.of_network.rows = []
            return
        (settings, model), stars = done[-1], dict(self.stars)
        found = await run.io_bound(advice.by_network, self.material, model, stars)
        if found is None or stars != self.stars:  # the page ends; or a later rating was given
            return
        self.hint.set_text(f"Asked: {settings}.")
        self.of_network.rows = _numbered(found, self.listed)
        self.listed = [row["code"] for row in found]

    def leave(self) -> None:
        """Stop what goes on for the visitor, who has closed the page."""
        self.stop()
        self.runs = []


def _heading(text: str, level: int = 2) -> None:
    size = "text-2xl" if level == 1 else "text-xl"
    ui.label(text).classes(f"{size} font-bold").props(f"role=heading aria-level={level}")


def _numbered(found: list[dict[str, Any]], before: list[int] | None) -> list[dict[str, Any]]:
    """Return the rows of a table: rank, title, stars and the rank before."""
    rows = []
    for rank, row in enumerate(found, 1):
        was = ""
        if before:
            was = str(before.index(row["code"]) + 1) if row["code"] in before else "new"
        stars = f"{row['stars']:.2f}"
        rows.append({"rank": rank, "title": row["title"], "stars": stars, "was": was})
    return rows


def _status(training: Training, waiting: int) -> str:
    """Say how far a training has come."""
    count = len(training.epochs)
    if training.state == "waiting":
        return f"Waiting: {waiting} before yours." if waiting else "Waiting: yours is next."
    if training.state == "failed":
        return training.error
    if training.state == "stopped":
        return f"Stopped after epoch {count}." if count else "Stopped before it began."
    if not training.epochs:
        return "Training."
    epoch = training.epochs[-1]
    text = f"Epoch {count} of {training.settings.num_epochs}: test RMSE {epoch.rmse:.3f}, "
    return text + f"train loss {epoch.train_loss:.4f}."
