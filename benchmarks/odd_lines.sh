#!/usr/bin/env bash
# How well scores tell the alerts of a log from its other lines, as in loghub's BGL_2k.log:
#     bash benchmarks/odd_lines.sh BGL_2k.log 60
# The first column of that log is "-" for a line without an alert. The column is removed. Training reads the first half:
# once without its alerts, and once all of it. The AUC is the probability that an alert of the second half scores
# higher than another line.
set -euo pipefail
log=$1 seconds=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
half=$(($(wc -l < "$log") / 2))
tr -d '\r' < "$log" > "$folder/log"
cd "$folder"
head -n "$half" log | cut -d ' ' -f 2- > all-lines
head -n "$half" log | grep '^- ' | cut -d ' ' -f 2- > no-alerts
tail -n +$((half + 1)) log | cut -d ' ' -f 2- > second
tail -n +$((half + 1)) log | cut -d ' ' -f 1 > labels
# What stands before the message are times and places.
mask='^\S+ \S+ \S+ \S+ \S+ |\b\S*\d\S*'
for lines in no-alerts all-lines; do
    charlm train $lines --lines --validation-from end --mask "$mask" --max-time "${seconds}s" -o $lines.safetensors --quiet
    paste <(charlm eval second -m $lines.safetensors --per-line | cut -f 1) labels | sort -g | awk -v name=$lines '
        function add_equal() { below += new * (others + old / 2); alerts += new; others += old; new = old = 0 }
        $1 != score { add_equal(); score = $1 }
        { if ($2 == "-") old++; else new++ }
        END { add_equal(); printf "%s: %d alerts in %d lines, AUC %.4f\n", name, alerts, NR, below / alerts / others }'
done
