"""What the service answers is what the commands print."""

import json
import re
import subprocess
import sys

import pytest
from http_service import Service, listed_digest
from toy_models import run, toy_blend, toy_model

from d2l_autorec.errors import InputError
from d2l_autorec.serving.folder import save_model

pytest.importorskip("fastapi")

from d2l_autorec.serving.http import schemas

MODELS = {"item": toy_model(), "blend": toy_blend()}
QUESTIONS = [
    ("get", "/recommend", {"user": "u5"}, "recommend --user u5", schemas.Recommended),
    (
        "get",
        "/recommend",
        {"user": "u2", "n": 2, "min_ratings": 0},
        "recommend --user u2 -n 2 --min-ratings 0",
        schemas.Recommended,
    ),
    (
        "get",
        "/recommend",
        {"user": "u5", "genre": ["war", "Drama"], "year": "1991-1995", "exclude": [20]},
        "recommend --user u5 --genre war --genre Drama --year 1991-1995 --exclude some.csv",
        schemas.Recommended,
    ),
    (
        "post",
        "/recommend",
        {"user": "u5", "candidates": [20, "30"], "min_ratings": 0},
        "recommend --user u5 --candidates pair.csv --min-ratings 0",
        schemas.Recommended,
    ),
    (
        "post",
        "/predict",
        {"pairs": [{"user": "u1", "item": 10}, {"user": "u2", "item": "20"}]},
        "predict --pairs pairs.csv",
        schemas.Rows,
    ),
    ("get", "/similar", {"item": "20", "n": 3}, "similar --item 20 -n 3", schemas.Similar),
    ("get", "/similar", {"user": "u2"}, "similar --user u2", schemas.Similar),
    (
        "get",
        "/explain",
        {"user": "u2", "item": "10", "n": 2},
        "explain --user u2 --item 10 -n 2",
        schemas.Explained,
    ),
    (
        "post",
        "/new-user",
        {"ratings": [{"item": "10", "rating": 5}, {"item": 20, "rating": 1.0}]},
        "new-user --ratings own.csv",
        schemas.Recommended,
    ),
    (
        "post",
        "/new-user",
        {"ratings": [{"item": "10", "rating": 5}], "candidates": [20, 30], "year": "1992"},
        "new-user --ratings one.csv --candidates pair.csv --year 1992",
        schemas.Recommended,
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    for name, model in MODELS.items():
        save_model(folder / name, model)
    (folder / "own.csv").write_text("item,rating\n10,5\n20,1\n")
    (folder / "one.csv").write_text("item,rating\n10,5\n")
    (folder / "pairs.csv").write_text("u1,10\nu2,20\n")
    (folder / "pair.csv").write_text("20\n30\n")
    (folder / "some.csv").write_text("20\n")
    return folder


@pytest.fixture(scope="module", params=MODELS)
def service(request, folder):
    with Service(folder / request.param, "--port", 0) as service:
        service.folder = folder / request.param
        yield service
        assert service.end() == 0
        assert service.log().count("\n") == 1 and "in service" in service.log()


def command(line, service):
    words = [f"{service.folder.parent / w}" if w.endswith("csv") else w for w in line.split()]
    return run(words[0], "--model", service.folder, *words[1:])


def test_every_answer_is_the_commands(service):
    for method, path, asked, line, schema in QUESTIONS:
        answer = service.get(path, **asked) if method == "get" else service.post(path, **asked)
        assert answer.status_code == 200, answer.text
        said, told = answer.json(), json.loads(command(f"{line} --json", service))
        for row in told["rows"]:
            row.update({name: str(row[name]) for name in ("user", "item") if name in row})
        assert said["rows"] == told["rows"] and said["rows"], path
        if "diversity" in said:
            [told["diversity"]["lists"]] = told["diversity"]["lists"]
            told["diversity"].update(told["diversity"].pop("lists"))
            told["diversity"].pop("user", None)
        for name in set(said) - {"rows", "model", "unknown_items"}:
            assert said[name] == told[name], name
        assert said["model"] == listed_digest(service.folder)
        read = schema.model_validate(said, extra="forbid", strict=True)
        assert read.model_dump(exclude_unset=True) == said


@pytest.mark.parametrize(
    "path, asked, line",
    [
        ("/recommend", {"user": "u77"}, "recommend --user u77"),
        ("/similar", {"item": "lph"}, "similar --item lph"),
        ("/explain", {"user": "u1", "item": "11"}, "explain --user u1 --item 11"),
    ],
)
def test_an_unknown_id_gets_the_commands_hint(path, asked, line, service):
    answer = service.get(path, **asked)
    with pytest.raises(InputError) as caught:
        command(line, service)
    assert answer.status_code == 404 and answer.json() == {"detail": str(caught.value)}


WRONG = [
    ("get", "/recommend", {}, 422, "'user': Field required"),
    ("get", "/recommend", {"user": "u1", "n": 0}, 422, "'n': Input should be greater"),
    ("get", "/recommend", {"user": "u1", "n": 1001}, 422, "'n': Input should be less"),
    ("get", "/recommend", {"user": "u1", "number": 3}, 422, "'number': Extra inputs"),
    ("get", "/recommend", {"user": "x" * 1001}, 422, "at most 1000 characters"),
    ("get", "/recommend", {"user": "u1", "genre": "Dramma"}, 422, "nearest it knows: Drama"),
    ("get", "/recommend", {"user": "u1", "genre": ["x"] * 101}, 422, "at most 100 items"),
    ("get", "/recommend", {"user": "u1", "year": "94"}, 422, "year '94' is no year; write"),
    ("get", "/recommend", {"user": "u1", "year": "1995-1994"}, 422, "write 1994-1995"),
    ("get", "/recommend", {"user": "u1", "candidates": "7"}, 422, "none of the 1 candidates"),
    ("post", "/recommend", {"user": "u1", "exclude": ["7"] * 20_001}, 422, "at most 20000 items"),
    ("post", "/recommend", {"user": "u1", "candidates": []}, 422, "at least 1 item"),
    ("post", "/recommend", {"user": "u1", "candidates": [True]}, 422, "candidates.0"),
    ("get", "/similar", {}, 422, "give one of item and user"),
    ("get", "/similar", {"user": "u1", "item": "10"}, 422, "give one of item and user"),
    ("get", "/nothing", {}, 404, "'/nothing'; /docs says"),
    ("get", "/predict", {}, 405, "'/predict' takes no 'GET'"),
    ("post", "/predict", {"pairs": []}, 422, "'pairs': List should have at least 1"),
    ("post", "/predict", {"pairs": [{"user": "u1", "item": "10"}] * 1001}, 422, "at most 1000"),
    ("post", "/predict", {"pairs": [{"user": True, "item": "10"}]}, 422, "pairs.0.user"),
    ("post", "/predict", {"pairs": [{"user": "u1", "item": 1.5}]}, 422, "pairs.0.item"),
    ("post", "/predict", {"pairs": [{"user": "u1", "item": "5"}]}, 404, "no item '5'"),
    ("post", "/new-user", {"ratings": [{"item": "10", "rating": 6}]}, 422, "outside 1 to 5"),
    ("post", "/new-user", {"ratings": [{"item": "x", "rating": 5}]}, 422, "none of the 1 items"),
    (
        "post",
        "/new-user",
        {"ratings": [{"item": "10", "rating": "5 "}], "m": 1},
        422,
        "'m': Extra",
    ),
]


def test_what_is_wrong_is_said_in_a_sentence(service):
    for method, path, asked, status, words in WRONG:
        answer = service.get(path, **asked) if method == "get" else service.post(path, **asked)
        assert answer.status_code == status, (path, asked, answer.text)
        [sentence] = answer.json().values()
        assert words in sentence and sentence.endswith(".") and "\n" not in sentence


def test_items_that_are_unknown_are_named(service):
    ratings = [{"item": "10", "rating": 5}, {"item": "zz", "rating": 1}]
    mixed = service.post("/new-user", ratings=ratings).json()
    alone = service.post("/new-user", ratings=ratings[:1]).json()
    assert mixed.pop("unknown_items") == ["zz"] and alone.pop("unknown_items") == []
    assert mixed == alone
    chosen = {"candidates": ["20", "x", "y"], "exclude": ["z"]}
    for answer in (
        service.get("/recommend", user="u5", **chosen),
        service.post("/recommend", user="u5", **chosen),
    ):
        assert [row["item"] for row in answer.json()["rows"]] == ["20"]
        assert answer.json()["unknown_items"] == ["x", "y", "z"]
        assert answer.json()["diversity"]["intra_list"] is None  # of a single item
    said = service.post("/new-user", ratings=ratings, **chosen).json()
    assert said["unknown_items"] == ["zz", "x", "y", "z"]
    nothing = service.get("/recommend", user="u1", candidates="10").json()  # u1 has rated it
    assert nothing["rows"] == [] and nothing["diversity"] is None


def test_head_is_answered_as_get_without_the_body(service):
    for path in ("/health", "/recommend?user=u1", "/docs", "/openapi.json"):
        whole, head = service.client.get(path), service.client.head(path)
        assert head.status_code == whole.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == str(len(whole.content))


def test_the_model_tells_what_it_is(service):
    said = service.get("/model").json()
    schemas.About.model_validate(said)
    assert (said["users"], said["items"], said["rating_range"]) == (5, 6, [1.0, 5.0])
    assert (said["data"], said["data_digest"], said["test_rmse"]) == ("toy", "0" * 64, None)
    name = service.folder.name
    model = MODELS[name]
    assert said["ratings"] == model.ratings.nnz
    assert said["recipe"] == json.loads(json.dumps(model.trained.recipe.to_dict()))
    assert said["networks"] == (3 if name == "blend" else 1)
    assert service.get("/health").json() == {"status": "ok", "model": said["model"]}


def test_requests_are_counted(service):
    def count(route, status):
        text = service.get("/metrics").text
        found = re.search(f'requests_total{{route="{route}",status="{status}"}} (.*)', text)
        return float(found[1]) if found else 0.0

    asked = [("/recommend", "200"), ("/recommend", "404"), ("other", "404"), ("/metrics", "200")]
    before = [count(*one) for one in asked]
    service.get("/recommend", user="u1")
    service.get("/recommend", user="nobody")
    service.get("/recommend/more")
    service.get("/recommend/still-more")
    after = [count(*one) for one in asked]
    assert [b - a for a, b in zip(before, after)] == [1, 1, 2, 4]
    text = service.get("/metrics").text
    assert f'd2l_autorec_model_info{{digest="{service.digest()}",items="6"' in text
    assert 'd2l_autorec_request_seconds_bucket{le="+Inf",route="/recommend"}' in text
    assert 'd2l_autorec_model_loads_total{outcome="loaded"} 1.0' in text
    assert "d2l_autorec_requests_open 1.0" in text  # this one


def test_the_description_is_whole_and_needs_nothing_from_elsewhere(service):
    said = service.get("/openapi.json").json()
    paths = {"/recommend", "/predict", "/similar", "/explain", "/new-user"}
    assert set(said["paths"]) == {*paths, "/model", "/health", "/metrics"}
    page = service.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path, methods in said["paths"].items():
        for method, operation in methods.items():
            assert operation["description"].endswith(".")
            assert f"<h2>{method.upper()} {path}</h2>" in page.text
    assert not re.search(r"<script|<link|https:|src=", page.text)
    assert page.text.count("integer, 1 to 1,000, 10 if left out") == 5  # each n
    found = re.findall(r"http://127.0.0.1:8000(/[^&]*)(?:&#x27;)", page.text.replace("&amp;", ";"))
    assert len(found) == 9 and "/recommend?user=196;n=5" in found
    asked = page.text.split("<h2>GET /similar</h2>")[1].split("<h2>")[0]
    for heading, names in (
        ("GET /recommend", ("user", "candidates", "exclude", "genre", "year")),
        ("POST /recommend", ("user", "n", "candidates", "exclude", "genre", "year")),
        ("diversity", ("compared", "intra_list", "num_genres")),
    ):
        part = page.text.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]
        for name in names:
            assert re.search(rf"<td>{name}</td><td>[^<]+</td><td>[^<]+\.</td>", part), name
    for name in ("item", "user"):  # each may be left out
        assert re.search(rf"<td>{name}</td><td>[^<]+</td><td>Id of an? {name}, as", asked)
    for body in (schemas.PredictBody, schemas.NewUserBody, schemas.RecommendBody):
        [example] = body.model_config["json_schema_extra"]["examples"]
        body.model_validate(example)


def test_help_loads_no_web_framework():
    code = (
        "import sys, d2l_autorec.cli; from typer.testing import CliRunner;"
        "print(CliRunner().invoke(d2l_autorec.cli.app, ['serve', '--help']).exit_code,"
        "*{'fastapi', 'uvicorn', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["0"], done.stdout
