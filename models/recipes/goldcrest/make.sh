#!/usr/bin/env bash
# Makes goldcrest: tokenizer, training, export, measurement. usage: make.sh DATA_DIR OUT_DIR [options of train.py]
# Run it again after an interruption: training goes on from its last checkpoint.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${1:?folder with the dialogues} out=${2:?output folder}
shift 2
python=${PYTHON:-python3}
# training frees and takes large blocks all the time: keep them instead of giving them back to the system
export MALLOC_MMAP_THRESHOLD_=8000000000 MALLOC_TRIM_THRESHOLD_=16000000000
"$python" "$here/train.py" "$data" "$out/run" "$@"
"$python" "$here/ngrams.py" "$out/run"
"$python" "$here/dual_encoder.py" "$out/run" "$data"
"$python" "$here/export.py" "$out/run" "$out/models"
"$python" "$here/cases.py" "$data" "$out/cases"
"$python" "$here/measure.py" "$out/run" "$out/cases" --tfidf "$data"
for weights in --untrained --float32 --int4; do
  echo "weights: ${weights#--}, ranking by the cosine alone"
  "$python" "$here/measure.py" "$out/run" "$out/cases" "$weights" --no-likelihood
done
echo "weights: int4, full ranking score"
"$python" "$here/measure.py" "$out/run" "$out/cases" --int4
