#!/usr/bin/env bash
# Times the main job on generated logs, from the files to the report: records in a
# second, and the most memory that was in use.
set -euo pipefail
GO=${GO:-go}
RECORDS=${RECORDS:-1000000}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CGO_ENABLED=0 "$GO" build -trimpath -o "$dir/sgadvise" ./cmd/sgadvise
for format in v5 parquet; do
	"$GO" run ./testdata/gen -records "$RECORDS" -format "$format" -files 8 -out "$dir/$format"
	start=$(date +%s%N)
	"$dir/sgadvise" analyze --progress none --logs "$dir/$format/logs" --policy "$dir/$format/policy" -o "$dir/report.json" &
	pid=$!
	peak=0
	# The kernel keeps the high-water mark of a process while it lives.
	while kill -0 "$pid" 2>/dev/null; do
		now=$(awk '/^VmHWM/ {print $2}' "/proc/$pid/status" 2>/dev/null || true)
		if [ "${now:-0}" -gt "$peak" ]; then peak=$now; fi
		sleep 0.05
	done
	wait "$pid"
	ms=$((($(date +%s%N) - start) / 1000000))
	echo "$format: $RECORDS records in $ms ms, $((RECORDS * 1000 / ms)) records/s, peak memory $((peak / 1024)) MB"
done
