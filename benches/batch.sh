#!/usr/bin/env bash
# Many small logs, ours beside logrotate and find. Needs root's trust in /tmp's sub-folder
# (logrotate refuses world-writable parents, which a fresh temporary folder is not).
#   benches/batch.sh                      100,000 logs in folders of 100
#   benches/batch.sh --files 1000000 --one-folder --no-logrotate
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p logquota-cli
exec cargo bench -p logquota-benches --bench batch -- --binary "$PWD/target/release/logquota" "$@"
