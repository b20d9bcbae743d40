#!/usr/bin/env bash
# Build the image of an exported model, and compare its answer with the folder's before a release:
#   packaging/image.sh runs/imdb/version_0/exported imdb '["a film to remember"]'
# ENGINE is docker or podman, BASE an image with Python 3.11 or newer, PYTHON one with dlp-lightning[export].
set -euo pipefail
folder=$(realpath "$1") name=$2 rows=$3
engine=${ENGINE:-docker} python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
context=$(mktemp -d)
trap 'rm -rf "$context"; $engine rm --force dlp-image-check >/dev/null 2>&1 || true' EXIT

cp -r "$folder" "$context/exported"
cp packaging/Dockerfile "$context"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$context" .
$engine build ${BUILD_OPTIONS:-} ${BASE:+--build-arg BASE=$BASE} --tag "$name" "$context"
$engine run --read-only --tmpfs /tmp --cap-drop ALL ${RUN_OPTIONS:---publish 127.0.0.1:8000:8000} --detach --name dlp-image-check "$name"
"$python" - "$folder" "$rows" <<'PYTHON'
import json
import sys
import time
from urllib.request import Request, urlopen

from dlp.inference import Predictor

rows, address = json.loads(sys.argv[2]), "http://127.0.0.1:8000"
for attempt in range(60):
    try:
        urlopen(f"{address}/health")
        break
    except OSError:
        time.sleep(0.5)
body, header = json.dumps({"rows": rows}).encode(), {"content-type": "application/json"}
answer = json.load(urlopen(Request(f"{address}/predict", body, header)))["predictions"]
expected = Predictor.load(sys.argv[1]).predict(rows).to_dict("records")
if answer != json.loads(json.dumps(expected)):
    sys.exit(f"the image answers {answer}, the folder {expected}")
print("the image answers as the folder does:", answer[0])
PYTHON
