#!/usr/bin/env bash
# Train on pairs and tags for some seconds each, with defaults, and print what the test parts come to.
# The folder holds NAME.train.tsv and NAME.test.tsv, or NAME-train.conllu and NAME-test.conllu.
#
#     bash benchmarks/arrangements.sh shared/data/pairs 120 ice dut hun fre tur-inflection
#     bash benchmarks/arrangements.sh shared/data/tags 120 en_partut-ud
set -euo pipefail
folder=${1:?usage: arrangements.sh FOLDER SECONDS NAME...}
seconds=${2:?usage: arrangements.sh FOLDER SECONDS NAME...}
shift 2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name in "$@"; do
    echo "== $name"
    if [ -e "$folder/$name.train.tsv" ]; then
        train=$folder/$name.train.tsv test=$folder/$name.test.tsv task=(--pairs)
    else
        train=$folder/$name-train.conllu test=$folder/$name-test.conllu
        task=(--tags --columns "2,4")
    fi
    charlm train "$train" "${task[@]}" --max-time "${seconds}s" -o "$scratch/m" 2>&1 |
        grep -E 'parameters|^done'
    charlm eval "$test" -m "$scratch/m" | sed '/^$/,$d' # without the confusion table
    rm -f "$scratch"/m*
done
