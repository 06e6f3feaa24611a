#!/usr/bin/env bash
# Train on a CUDA card for each budget, and print when the network reaches 1.4697 nats per character
# (nanoGPT's best on tiny shakespeare), its last score, that of the model file on the CPU, and
# characters per second. The default budgets take less than eight minutes.
#
#     bash benchmarks/card.sh tinyshakespeare.txt
#     bash benchmarks/card.sh tinyshakespeare.txt 60 180 300
set -euo pipefail
text=${1:?usage: card.sh TEXT [SECONDS...]}
shift
[ $# -gt 0 ] || set -- 60 300
python "$(dirname "$0")/learn.py" "$text" --budget "$@" --rng-seeds 0 --reach 1.4697 \
    --configuration "card: --device ${CHARLM_DEVICE:-cuda}"
