import re
from dataclasses import replace

import pytest
import uvicorn
from starlette.testclient import TestClient

from dlp.commands import serve
from dlp.inference import Predictor
from dlp.modules.heads import SigmoidHead
from dlp.modules.networks import ConvNet
from helpers.models import predictor_of
from helpers.sets import image_data

ROW = {"x": 0.5, "y": -0.5, "kind": "red"}


@pytest.fixture(scope="module")
def predictor(run_of_points):
    return Predictor.load(run_of_points / "runs/points/version_0")


@pytest.fixture(scope="module")
def client(predictor):
    return TestClient(serve.app(predictor, ["localhost"]), "http://localhost:8000")


def test_an_answer_is_that_of_the_predictor(client, predictor):
    answer = client.post("/predict", json={"rows": [ROW, ROW | {"x": "-2"}]}).json()
    expected = predictor.predict([ROW, ROW | {"x": -2}]).to_dict("records")
    assert answer == {"predictions": expected, "notes": []}


def test_a_calibrated_model_answers_with_sets(predictor):
    calibrated = Predictor(predictor.models, predictor.modules)
    answer = replace(predictor.spec.answer, coverage=0.9, quantiles=[0, 0])
    calibrated.spec = replace(predictor.spec, answer=answer)
    client = TestClient(serve.app(calibrated))
    answer = client.post("/predict", json={"rows": [ROW]}).json()
    assert answer["predictions"][0]["set"] == "no;yes"
    assert client.get("/schema").json()["coverage"] == 0.9


def test_a_reason_is_that_of_the_predictor(client, predictor):
    answer = client.post("/explain", json={"rows": [ROW]}).json()
    assert answer == {"explanations": [predictor.explain(ROW).to_dict("records")]}


def test_more_rows_than_the_server_can_explain_at_once_are_refused(client):
    answer = client.post("/explain", json={"rows": [ROW] * 17})
    assert answer.status_code == 422
    assert answer.json() == {"error": "explain takes at most 16 rows, not 17."}


def test_an_unseen_category_is_named_in_the_answer(client):
    answer = client.post("/predict", json={"rows": [ROW | {"kind": "mauve"}]}).json()
    assert answer["notes"] == ["column 'kind': unseen in training: ['mauve']"]


def test_the_typical_cells_of_the_schema_are_a_row(client):
    schema = client.get("/schema").json()
    assert schema["classes"] == ["no", "yes"]
    assert [column["kind"] for column in schema["columns"]] == [
        "number",
        "number",
        "category",
    ]
    assert schema["columns"][2]["categories"] == ["blue", "green", "red"]
    low, high = schema["columns"][0]["range"]
    assert low < schema["columns"][0]["typical"] < high
    row = {column["name"]: column["typical"] for column in schema["columns"]}
    assert client.post("/predict", json={"rows": [row]}).status_code == 200


def test_images_are_files(tmp_path):
    data = image_data(tmp_path)
    network = ConvNet((3, 8, 8), 1, channels=[4], dense=[])
    client = TestClient(serve.app(predictor_of(data, SigmoidHead(), network)))
    png = (tmp_path / "0.png").read_bytes()
    files = [("file", ("a.png", png)), ("file", ("b.png", png))]
    first, second = client.post("/predict", files=files).json()["predictions"]
    assert first == pytest.approx(second)
    assert client.post("/explain", files=files).json()["explanations"][0]
    answer = client.post("/predict", files={"file": ("a.png", png[:40])})
    assert (answer.status_code, [*answer.json()]) == (422, ["error"])


@pytest.mark.parametrize(
    ("status", "message", "body"),
    [
        (422, "JSON decode error", b'{"rows": ['),
        (400, "parsing", b"[" * 100_000),
        (422, "at least 1 item", b'{"rows": []}'),
        (422, "at most 1000 items", b'{"rows": [%s"a"]}' % (b'"a",' * 1000)),
        (422, "'y' is absent", b'{"rows": [{"x": 1}]}'),
        (
            422,
            "finite numbers, not 'inf'",
            b'{"rows": [{"x": 1e999, "y": 1, "kind": "red"}]}',
        ),
        (
            422,
            "finite numbers, not 'a'",
            b'{"rows": [{"x": "a", "y": 1, "kind": "red"}]}',
        ),
        (422, "dictionary by column, not 7", b'{"rows": [7]}'),
    ],
)
def test_a_wrong_body_is_refused_by_one_sentence(client, status, message, body):
    answer = client.post(
        "/predict", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.post("/predict", json={"rows": [ROW]}).status_code == 200


# The second does not say its length.
@pytest.mark.parametrize("body", [b" " * 10_000_001, iter([b" " * 6_000_000] * 2)])
def test_a_body_above_10_mb_is_refused(client, body):
    assert client.post("/predict", content=body).status_code == 413


def test_a_page_that_rebinds_its_name_is_refused(client):
    assert client.get("/", headers={"host": "evil.com"}).status_code == 400


def test_a_server_listens_at_an_ipv6_address_and_knows_the_run(
    run_of_points, monkeypatch
):
    def run(server):
        assert server.config.host == "::1"
        client = TestClient(server.config.app, "http://[::1]:8000")
        schema = client.get("/schema").json()
        assert schema["run"].endswith("version_0")
        assert schema["data"]["target"] == "label"
        assert schema["quality"].startswith("finds ")

    monkeypatch.setattr(uvicorn.Server, "run", run)
    serve.serve(str(run_of_points / "runs/points/version_0"), host="::1")


def test_the_page_names_no_other_server(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.findall(r"https?://|src=\"|@import", answer.text)
