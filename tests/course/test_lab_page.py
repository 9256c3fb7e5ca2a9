"""The lab as a class meets it: a process, and a real browser. `make lab-check` runs these."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from d2l_autorec.data import synthetic

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
TITLES = ["A Film", "Another Film", "<b>Bold</b> & Co"]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "d2l_autorec", "lab", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write ratings and titles; of the last items no title is known."""
    folder = tmp_path_factory.mktemp("lab")
    ((user, item, rating),) = synthetic.chunks(synthetic.Synthetic(300, 400, 12_000))
    rows = "".join(f"{u},{i},{r:g}\n" for u, i, r in zip(user, item, rating))
    (folder / "ratings.csv").write_text(f"user,item,rating\n{rows}", encoding="utf-8")
    lines = "".join(f'{i},"{TITLES[i % 3]} {i}"\n' for i in range(390))
    (folder / "titles.csv").write_text(f"item,title\n{lines}", encoding="utf-8")
    return "--data", folder / "ratings.csv", "--titles", folder / "titles.csv", "--port", 0


@pytest.fixture(scope="module")
def url(files):
    pytest.importorskip("nicegui", reason="nicegui is not installed: make lab-check")
    process = start(*files)
    said = process.stdout.readline()
    found = re.fullmatch(
        r"The lab is open at (http://127\.0\.0\.1:\d+) \(Ctrl-C closes it\)\.\n", said
    )
    assert found, process.communicate()
    yield found[1]
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    compiling = "Compiling kernels (once); that takes up to half a minute.\n"
    assert (process.returncode, out) == (0, "") and err in ("", compiling)


@pytest.fixture(scope="module")
def browser(url):
    api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: make lab-check"
    )
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, url):
    """Open pages; each must be without an error and ask nothing of any other machine."""
    contexts, wrong = [], []
    here = (url, f"blob:{url}", "data:")

    def visit(width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(here) or wrong.append(asked.url))
        page.goto(url)
        button(page, "Train").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def train(page, **settings):
    for label, value in settings.items():
        page.get_by_label(label.replace("_", " ")).fill(str(value))
    button(page, "Train").click()


def see(page, text):
    page.get_by_text(text).first.wait_for()


def rate(page, row, stars):
    page.locator(".q-rating").nth(row).locator(".q-rating__icon-container").nth(stars - 1).click()


def films(page, table=0):
    rows = page.locator(".q-table__container").nth(table).locator("tbody tr")
    return [rows.nth(i).locator("td").nth(1).inner_text() for i in range(rows.count())]


def curves(page, chart=0):
    """Return the points of a chart's solid curves, as ECharts has them."""
    return page.evaluate(
        """chart => {
            const element = document.querySelectorAll('.nicegui-echart')[chart];
            return getElement(Number(element.id.slice(1))).chart.getOption().series
                .filter(one => one.lineStyle.type == 'solid').map(one => one.data);
        }""",
        chart,
    )


def test_train_and_see_the_curve(visit):
    page = visit()
    see(page, "12,000 ratings, 300 users, 400 items")
    assert curves(page) == []
    assert page.get_by_text("AutoRec in the book").count() == 0  # that is for MovieLens 100K
    train(page, Hidden_units=50, Epochs=20)
    see(page, "Epoch 20 of 20: test RMSE")
    (rmses,), (losses,) = curves(page), curves(page, 1)
    assert [epoch for epoch, _ in rmses] == [epoch for epoch, _ in losses] == list(range(1, 21))
    assert losses[-1][1] < losses[0][1]
    assert f"test RMSE {rmses[-1][1]:.3f}" in page.get_by_role("status").inner_text()
    page.get_by_text("Mask: learn").click()
    see(page, "a film nobody rated has 0 stars")
    page.get_by_label("Activation").click()
    page.get_by_role("option", name="relu").click()
    button(page, "Train").click()
    see(page, "50 relu units, dropout 0.05, no mask")
    see(page, "Epoch 20 of 20")
    without, with_mask = sorted((curve[-1][1] for curve in curves(page)), reverse=True)
    assert without > with_mask


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [
        ("Hidden units", "0", "Hidden units: give a whole number from 1 to 1,000."),
        ("Hidden units", "2.5", "Hidden units: give a whole number"),
        ("Hidden units", "", "Hidden units: give a whole number"),
        ("Epochs", "1e9", "Epochs: give a whole number from 1 to 100."),
    ],
)
def test_silly_values_are_refused(visit, label, value, said):
    page = visit()
    page.get_by_label(label).fill(value)
    button(page, "Train").click()
    page.get_by_role("alert").get_by_text(said).wait_for()
    assert page.get_by_role("status").inner_text() == "Not trained yet."


def test_rate_and_see_the_list_change(visit):
    page = visit(390)
    assert len(films(page, 1)) == 8 and films(page) == []
    rate(page, 0, 5)
    see(page, "Train a network.")
    train(page, Hidden_units=50, Epochs=40)
    see(page, "Asked: 50 sigmoid units")
    before, of_biases = films(page), films(page, 1)
    assert len(before) == 8
    for row in (1, 2, 3):
        rate(page, row, 1)
    titles = page.locator(".q-rating").locator("xpath=preceding-sibling::*").all_inner_texts()
    rated = titles[:4]
    assert len(titles) == 8 and all("Film" in title or "Bold" in title for title in titles)
    page.wait_for_function(  # the lists follow the last click
        """rated => [...document.querySelectorAll('.q-table td')].every(
            cell => !rated.includes(cell.innerText))""",
        arg=rated,
    )
    see(page, "new")
    after = films(page)
    assert after != before and len(after) == 8
    assert [film for film in films(page, 1) if film in of_biases] == [
        film for film in of_biases if film not in rated
    ]
    page.get_by_label("Find another film").fill("Film 38")
    page.get_by_role("option").first.click()
    page.wait_for_function("document.querySelectorAll('.q-rating').length == 9")
    page.wait_for_function(
        "document.querySelector('[aria-label=\"Find another film\"]').value == ''"
    )
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 390  # nothing sticks out on a phone
    assert page.locator("b").count() == 0  # a title is text


def test_ten_at_once_each_with_its_own(visit):
    pages = [visit() for _ in range(10)]
    for number, page in enumerate(pages, 1):
        train(page, Hidden_units=number, Epochs=3)
    for number, page in enumerate(pages, 1):
        see(page, "Epoch 3 of 3")
        see(page, f"{number} sigmoid units")
        assert page.get_by_text("sigmoid units").count() == 1
        assert len(curves(page)) == 1


def test_a_page_waits_until_the_one_before_is_closed(visit):
    first, second = visit(), visit()
    first.get_by_text("Mask: learn").click()
    train(first, Hidden_units=1000, Epochs=100)
    see(first, re.compile(r"Epoch \d+ of 100"))
    train(second, Hidden_units=5, Epochs=2)
    see(second, "Waiting: yours is next.")
    first.close()
    see(second, "Epoch 2 of 2")


def test_stop(visit):
    page = visit()
    page.get_by_text("Mask: learn").click()
    train(page, Hidden_units=1000, Epochs=100)
    see(page, re.compile(r"Epoch \d+ of 100"))
    button(page, "Stop").click()
    see(page, "Stopped after epoch")
    train(page, Hidden_units=5, Epochs=2)
    see(page, "Epoch 2 of 2")


def test_a_port_that_is_taken(files, url):
    process = start(*files[:-1], url.rpartition(":")[2])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "") and "give another" in err
    assert len(err.splitlines()) == 1
