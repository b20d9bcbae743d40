#!/usr/bin/env bash
# Check wheel and sdist in empty environments before a release: packaging/check.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3} root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== build: the sdist, and the wheel from it"
"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build
"$work/build/bin/python" -m build --outdir "$work/dist" "$root"
names=$("$python" -m zipfile --list "$work"/dist/*.whl)
for file in $(cd src && git ls-files '*.html' '*.pyi' '*.typed'); do
  grep -q "^$file " <<<"$names" || { echo "the wheel lacks $file"; exit 1; }
done

# refuses EXTRA COMMAND...: the command ends with the sentence that installs the extra.
refuses() {
  local message
  if message=$("$dlp" "${@:2}" 2>&1) || ! grep -qF "pip install \"dlp-lightning[$1]\"" <<<"$message"; then
    echo "dlp ${*:2} does not name the extra $1: $message"
    exit 1
  fi
}

for file in "$work"/dist/*; do
  echo "== install ${file##*/}"
  env=$(mktemp -d "$work/XXXX") dlp=$env/bin/dlp
  "$python" -m venv "$env"
  "$env/bin/pip" install --quiet "$file"
  "$env/bin/pip" check
  mkdir "$env/elsewhere" && cd "$env/elsewhere"
  "$dlp" fit --config quickstart --trainer.max_epochs 1
  refuses tune tune --config imdb --space imdb
  refuses export export quickstart
  refuses serve serve quickstart
done
