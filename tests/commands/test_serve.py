import base64
import io
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import uvicorn
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

import dlp
from dlp.cli import main
from dlp.commands import serve
from dlp.datamodules import TableDataModule
from dlp.inference import Predictor
from dlp.modules.heads import SigmoidHead
from dlp.modules.networks import ConvNet
from dlp.reader.model import Model
from dlp.recipes.restoring import load_predictor
from dlp.runs.folder import Run
from helpers.models import predictor_of
from helpers.sets import image_data, text_data

ROW = {"x": 0.5, "y": -0.5, "kind": "red"}
HOURS = """\
def hour(frame):
    return frame[["size"]].assign(hour=frame["time"].dt.hour)
"""
HOURS_RECIPE = """\
data:
  class_path: TableDataModule
  init_args:
    path: load.csv
    target: load
    features: hours.hour
    read_csv: {parse_dates: [time]}
model: {class_path: DenseModule, init_args: {head: regression, hidden: [4]}}
trainer: {max_epochs: 1, enable_progress_bar: false, enable_model_summary: false}
"""


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
    calibrated = Predictor(predictor.models)
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
    assert "at most 16 rows" in answer.json()["error"]


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
        (422, "the body is not JSON (Expecting value, character 10)", b'{"rows": ['),
        (400, "cannot be parsed; POST /predict", b"[" * 100_000),
        (422, "NaN is not a value of JSON", b'{"rows": [{"x": NaN, "y": 1}]}'),
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
        (
            422,
            "one text or number, not ['red']",
            b'{"rows": [{"x": 1, "y": 1, "kind": ["red"]}]}',
        ),
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
    answer = client.post("/predict", content=body)
    assert answer.status_code == 413
    assert "up to 10 MB" in answer.json()["error"]


def test_a_page_that_rebinds_its_name_is_refused(client):
    answer = client.get("/", headers={"host": "evil.com"})
    assert answer.status_code == 400
    assert "host name" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status"), [("/predict", 405), ("/no-such-page", 404)]
)
def test_a_wrong_address_is_refused_in_json(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert str(status) in answer.json()["error"]


def test_a_bug_is_an_internal_error_with_its_traceback_in_the_log(predictor):
    def run(arrays):
        raise KeyError("internal_key")

    broken = Predictor(predictor.models)
    broken.models = [Model(predictor.spec, predictor.encoder, run)]
    client = TestClient(serve.app(broken), raise_server_exceptions=False)
    answer = client.post("/predict", json={"rows": [ROW]})
    assert answer.status_code == 500
    assert "internal_key" not in answer.json()["error"]
    assert "traceback" in answer.json()["error"]
    with pytest.raises(KeyError):  # uvicorn logs what the application raises
        TestClient(serve.app(broken)).post("/predict", json={"rows": [ROW]})


RUN = "runs/german/version_0"
AS_IN_TRAINING = {"sep": ";", "decimal": ",", "encoding": "cp1252"}


def check_served_csv(folder, model, tolerance):
    """Check that a served CSV has the encoding of the file and the values of dlp predict."""
    client = TestClient(serve.app(Predictor.load(folder / model)))
    content = (folder / "new.csv").read_bytes()
    answer = client.post("/predict_csv", files={"file": ("new.csv", content)})
    expected = pd.read_csv(folder / RUN / "predictions_new.csv")["value"]
    assert answer.headers["content-type"] == "text/csv; charset=cp1252"
    table = pd.read_csv(io.BytesIO(answer.content), **AS_IN_TRAINING)
    np.testing.assert_allclose(table["Preis"], expected, rtol=0, atol=tolerance)
    inputs = pd.read_csv(io.BytesIO(content), **AS_IN_TRAINING)
    pd.testing.assert_frame_equal(table[inputs.columns], inputs)
    row = {
        "Größe": inputs["Größe"][0],
        "Ort": inputs["Ort"][0],
        "gebaut": inputs["gebaut"][0],
    }
    prediction = client.post("/predict", json={"rows": [row]}).json()["predictions"][0]
    assert prediction["Preis"] == pytest.approx(expected[0], abs=tolerance)


def test_a_run_serves_a_csv_as_dlp_predict_does(german):
    check_served_csv(german, RUN, 1e-6)


@pytest.mark.slow
def test_an_export_serves_a_csv_as_dlp_predict_does(german_export):
    check_served_csv(german_export, f"{RUN}/exported", 1e-5)  # it rounds differently


@pytest.fixture(scope="module")
def german_client(german):
    return TestClient(serve.app(Predictor.load(german / RUN)))


def test_the_page_gets_a_csv_with_its_first_rows_and_notes(german, german_client):
    content = (german / "test.csv").read_bytes()
    file = {"file": ("test.csv", content)}
    plain = german_client.post("/predict_csv", files=file)
    accepted = {"accept": "application/json"}
    answer = german_client.post("/predict_csv", files=file, headers=accepted).json()
    assert answer["rows"] == 10
    assert answer["columns"] == ["Größe", "Ort", "gebaut", "Preis (input)", "Preis"]
    assert len(answer["first"]) == 5
    assert answer["notes"] == ["column 'Ort': unseen in training: ['Jena']"]
    assert base64.b64decode(answer["csv"]) == plain.content


def test_a_csv_that_does_not_decode_is_refused_by_one_sentence(german, german_client):
    content = (german / "new.csv").read_bytes().replace(b";Ulm", b";\x81")
    answer = german_client.post("/predict_csv", files={"file": ("new.csv", content)})
    assert answer.status_code == 422
    sentence = "new.csv is not in cp1252, the encoding of the training table; save it in that one."
    assert answer.json() == {"error": sentence}


def test_a_csv_that_needs_pandas_is_refused_by_one_sentence(tmp_path):
    text = "".join(f"{n % 7}::{n % 3}::{'yn'[n % 2]}\n" for n in range(30))
    Path("t.csv").write_text(f"x::y::label\n{text}", encoding="utf-8")
    data = TableDataModule("t.csv", "label", read_csv={"sep": "::", "engine": "python"})
    client = TestClient(serve.app(predictor_of(data, SigmoidHead())))
    answer = client.post("/predict_csv", files={"file": ("new.csv", b"x::y\n1::2\n")})
    assert answer.status_code == 422
    assert "arguments that need pandas (sep)" in answer.json()["error"]


def test_a_wrong_row_of_a_csv_is_named_by_its_number_in_the_file(german, german_client):
    content = (german / "new.csv").read_bytes()
    lines = content.splitlines()
    broken = b"\n".join([lines[0], *lines[1:2] * 5000, lines[1].replace(b",", b"x")])
    answer = german_client.post("/predict_csv", files={"file": ("new.csv", broken)})
    assert answer.status_code == 422
    assert "column 'Größe' of row 5000 takes finite numbers" in answer.json()["error"]


@pytest.mark.parametrize("end", [b"", b'"'])
def test_a_quote_that_joins_rows_of_a_csv_is_refused(german, german_client, end):
    lines = (german / "new.csv").read_bytes().splitlines()
    start, _, last = lines[1].rpartition(b";")
    content = b"\n".join([lines[0], start + b';"' + last, *lines[1:4] * 2]) + end
    answer = german_client.post("/predict_csv", files={"file": ("new.csv", content)})
    assert answer.status_code == 422
    assert "a quote joins rows" in answer.json()["error"]


def test_half_an_emoji_in_a_row_is_explained(german_client):
    row = {"Größe": 50, "Ort": "\ud800", "gebaut": "06.05.2001"}
    body = json.dumps({"rows": [row]})
    headers = {"content-type": "application/json"}
    answer = german_client.post("/explain", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


def test_a_csv_may_be_larger_than_10_mb(german, german_client):
    lines = (german / "new.csv").read_bytes().splitlines()
    lines[0] += b";note"
    lines[1] += b";" + b"a" * 10_000_001
    content = b"\n".join(lines[:2])
    answer = german_client.post("/predict_csv", files={"file": ("new.csv", content)})
    assert answer.status_code == 200, answer.text


def test_the_lines_of_a_txt_file_are_texts(tmp_path):
    predictor = predictor_of(text_data(tmp_path), SigmoidHead())
    client = TestClient(serve.app(predictor))
    content = b'a "word6", said\r\nword7\r\n'
    answer = client.post("/predict_csv", files={"file": ("new.txt", content)})
    table = pd.read_csv(io.BytesIO(answer.content))
    assert table["text"].tolist() == ['a "word6", said', "word7"]
    expected = predictor.predict(table["text"].tolist())
    np.testing.assert_allclose(table["prob_yes"], expected["prob_yes"], rtol=1e-6)
    assert b"\r\n" in answer.content


def test_a_port_in_use_is_one_sentence(german, fails):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = fails("serve", str(german / RUN), "--port", str(port))
    assert f"cannot listen at 127.0.0.1, port {port}" in message
    assert f"--port {port + 1}" in message


@pytest.mark.slow
def test_an_export_of_a_changed_checkpoint_is_served_with_a_note(
    german_export, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(uvicorn.Server, "run", lambda server: None)
    run = shutil.copytree(german_export / RUN, tmp_path / "run")
    serve.serve(str(run / "exported"), port=0)
    assert capsys.readouterr().out == ""
    with (run / "checkpoints/best.ckpt").open("ab") as file:
        file.write(b" ")
    serve.serve(str(run / "exported"), port=0)
    note = capsys.readouterr().out
    assert "best.ckpt has changed since this export" in note
    assert "run dlp export run --folder" in note


def test_a_run_with_features_is_served_with_dates(tmp_path):
    Path("hours.py").write_text(HOURS, encoding="utf-8")
    times = pd.date_range("2024-01-01", periods=48, freq="h").strftime(
        "%Y-%m-%dT%H:%M:%S"
    )
    frame = pd.DataFrame({"time": times, "size": np.arange(48) % 5})
    frame["load"] = np.arange(48) % 24 + 0.5
    frame.to_csv("load.csv", index=False)
    Path("load.yaml").write_text(HOURS_RECIPE, encoding="utf-8")
    main(["fit", "--config", "load.yaml"])
    main(["predict", "--config", "load.yaml", "--data.predict_path", "load.csv"])
    expected = pd.read_csv("runs/load/version_0/predictions_load.csv")["value"]
    client = TestClient(serve.app(load_predictor(Run.find("load"))))
    rows = frame[["time", "size"]].to_dict("records")
    predictions = client.post("/predict", json={"rows": rows}).json()["predictions"]
    np.testing.assert_allclose(
        [row["load"] for row in predictions], expected, rtol=1e-5
    )
    answer = client.post(
        "/predict_csv", files={"file": ("a.csv", Path("load.csv").read_bytes())}
    )
    table = pd.read_csv(io.BytesIO(answer.content))
    np.testing.assert_allclose(table["load"], expected, rtol=1e-5)
    assert client.post("/explain", json={"rows": rows[:1]}).status_code == 200


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
    monkeypatch.setattr(
        serve, "_check_address", lambda host, port: None
    )  # not all have IPv6
    serve.serve(str(run_of_points / "runs/points/version_0"), host="::1")


def test_the_page_names_no_other_server(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.findall(r"https?://|src=\"|@import", answer.text)


#: Script of a page that drops a file on it, and keeps the bytes that are offered for download.
DROP = """
<script type="module">
const create = URL.createObjectURL
URL.createObjectURL = blob => {
  const reader = new FileReader()
  reader.onload = () => document.body.append(`download=${reader.result}=end`)
  reader.readAsDataURL(blob)
  return create.call(URL, blob)
}
const bytes = Uint8Array.from(atob("CONTENT"), letter => letter.charCodeAt(0))
const files = new DataTransfer(), input = document.getElementById("file")
files.items.add(new File([bytes], "new.csv"))
input.files = files.files
setTimeout(() => input.dispatchEvent(new Event("change")), 500)
</script>
"""
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=10000 --dump-dom"
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_a_browser_offers_the_csv_of_the_server_for_download(
    german, german_client, tmp_path
):
    content = (german / "new.csv").read_bytes()
    expected = german_client.post(
        "/predict_csv", files={"file": ("new.csv", content)}
    ).content
    api = serve.app(Predictor.load(german / RUN))
    page = german_client.get("/").text
    script = DROP.replace("CONTENT", base64.b64encode(content).decode())
    api.get("/page_with_a_file")(lambda: HTMLResponse(page + script))
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    command = [BROWSER, *OPTIONS.split(), f"--user-data-dir={tmp_path / 'profile'}"]
    address = f"http://127.0.0.1:{port}/page_with_a_file"
    result = subprocess.run(
        [*command, address], capture_output=True, timeout=120, check=True
    )
    server.should_exit = True
    thread.join()
    shown = result.stdout.decode()
    assert "9 rows are predicted" in shown
    assert '<th scope="col">Größe</th>' in shown
    downloaded = re.search("download=data:.*?;base64,(.*?)=end", shown)[1]
    assert base64.b64decode(downloaded) == expected


def test_the_images_of_a_request_have_a_limit_of_pixels_together(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "_MAX_PIXELS", 100)
    network = ConvNet((3, 8, 8), 1, channels=[4], dense=[])
    predictor = predictor_of(image_data(tmp_path), SigmoidHead(), network)
    monkeypatch.setattr(serve.Image, "MAX_IMAGE_PIXELS", 100)
    client = TestClient(serve.app(predictor))
    content = io.BytesIO()
    serve.Image.new("RGB", (8, 6)).save(content, "PNG")
    files = [("file", ("a.png", content.getvalue()))] * 2
    assert client.post("/predict", files=files).status_code == 200
    answer = client.post("/predict", files=[*files, files[0]])
    assert answer.status_code == 422
    assert re.search("at most 100 pixels .*144", answer.json()["error"])


@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json;q=0, */*", False),
        ("application/jsonl", False),
        ("text/csv, application/json", False),
    ],
)
def test_a_csv_is_answered_as_json_if_the_request_names_json(accept, is_json):
    assert serve._accepts_json(accept) == is_json


def test_each_column_of_an_answer_has_a_name_of_its_own(german, german_client):
    lines = (german / "test.csv").read_bytes().splitlines()
    lines[0] += b";Preis (input)"
    content = b"\n".join([lines[0], lines[1] + b";1"])
    answer = german_client.post(
        "/predict_csv",
        files={"file": ("test.csv", content)},
        headers={"accept": "application/json"},
    ).json()
    columns = answer["columns"]
    assert columns[-3:] == ["Preis (input) (input)", "Preis (input)", "Preis"]


def test_the_description_of_the_addresses_has_the_version_of_the_package(client):
    assert client.get("/openapi.json").json()["info"]["version"] == dlp.__version__
