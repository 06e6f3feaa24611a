#!/usr/bin/env bash
# How often a model prefers the good sentence of a minimal pair, as in BLiMP:
#     bash benchmarks/minimal_pairs.sh pairs.tsv model.safetensors
# The table has a header and the columns item, field, good sentence, bad sentence. A pair is right if the good sentence
# has the higher probability; the length is not considered. BLiMP's 67 paradigms have 1,000 pairs each, so that the share
# of all pairs is the mean over paradigms.
set -euo pipefail
pairs=$1 model=$2
bits() { tail -n +2 "$pairs" | cut -f "$1" | charlm eval -m "$model" --per-line --score bits | cut -f 1; }
paste <(tail -n +2 "$pairs" | cut -f 2) <(bits 3) <(bits 4) | awk -F '\t' '
    { total[$1]++; right[$1] += $2 < $3; all += $2 < $3 }
    END {
        for (field in total) printf "%-20s %6d pairs  %.4f\n", field, total[field], right[field] / total[field]
        printf "%-20s %6d pairs  %.4f\n", "all", NR, all / NR
    }'
