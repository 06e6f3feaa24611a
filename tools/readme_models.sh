# The models that the commands of the README use; tools/console_blocks.py runs these lines before them.
charlm train corpora/ferry-house.txt --max-time 60s --quiet
charlm train corpora/place-names.txt --lines --max-time 20s -o names.safetensors --quiet
awk '{printf "%s,%d,%s@example.org\n", $0, 1950 + NR * 7 % 60, tolower($1)}' corpora/place-names.txt > people.csv
charlm train people.csv --lines --max-time 20s -o people.safetensors --quiet
awk 'BEGIN {split("vim curl nginx tzdata", p); for (i = 0; i < 2000; i++) printf "%02d:%02d status installed %s:amd64 1.%d\n", i / 60 % 24, i % 60, p[1 + i % 4], i % 7}' > packages.log
(tail -n 50 packages.log; echo "09:12 status removed kernel-rootkit:arm64 0.1") > later.log
charlm train packages.log --lines --validation-from end --max-time 10s -o log.safetensors --quiet
for language in english german; do charlm train tests/data/$language.txt --lines --max-time 10s -o $language.safetensors --quiet; done
grep -E '^[A-Z][a-z]+$' corpora/place-names.txt | tr A-Z a-z | sed -E 'h; s/ch/tʃ/g; s/sh/ʃ/g; s/th/θ/g; s/c/k/g; s/(tʃ|.)/\1 /g; s/ $//; H; g; s/\n/\t/' > phones.tsv
charlm train phones.tsv --pairs --max-time 30s -o phones.safetensors --quiet
charlm train corpora/ferry-house.txt --cell rnn --hidden-size 256 --max-steps 300 --ngram-order 0 -o rnn.safetensors --quiet
