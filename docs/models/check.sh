#!/usr/bin/env bash
# Checks the models in this folder with SPIN, each rule's absence included (README.md). Takes less than a minute.
set -euo pipefail
model=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/epochs.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# run WANTED-ERRORS DEFINITION...: 0 errors in all states, or at least one.
run() {
  local wanted=$1 found states
  shift
  spin "$@" -a "$model" >spin.log
  ${CC:-cc} -O2 -w -DSAFETY -DNOREDUCE -DMEMLIM=4000 -o pan pan.c
  ./pan -m1000000 -E >pan.log
  found=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
  states=$(awk '/states, stored/ { print $1 }' pan.log)
  if grep -q 'max search depth too small\|out of memory' pan.log || { [ "$wanted" = 0 ] && [ "$found" != 0 ]; } ||
    { [ "$wanted" != 0 ] && [ "$found" = 0 ]; }; then
    echo "FAIL  ${*:-as it is}: $found errors in $states states"
    grep -E 'assertion|max search|memory' pan.log | sed -n 1,5p
    exit 1
  fi
  printf '  ok    %-57s %s in %s states\n' "${*:-as it is}" "$([ "$found" = 0 ] && echo 'no error' || echo 'fails, as it must,')" "$states"
}

run 0
run 0 -DNODES=5 -DEPOCHS=2
run 0 -DNODES=5 -DT=3 -DEPOCHS=2
run 0 -DMOVES -DNODES=6 -DLIARS=2
# A threshold above half of the nodes: all must have stored (quorum_of() in src/cluster/plan.h), and no more than NODES - T may lie.
run 0 -DNODES=4 -DT=3 -DQUORUM=NODES -DLIARS=1
run 0 -DNODES=3 -DT=3 -DQUORUM=NODES -DLIARS=0
run 1 -DNODES=4 -DT=3 -DQUORUM=NODES -DEPOCHS=2
run 1 -DNODES=3 -DT=3 -DQUORUM=NODES -DEPOCHS=2 -DLIARS=1
run 1 -DMOVES -DNODES=6 -DLIARS=2 -DEPOCHS=2 -DQUORUM=3
run 1 -DMOVES -DNODES=6 -DLIARS=2 -DEPOCHS=2 -DSTRANGERS
run 1 -DQUORUM=T
run 1 -DPINNED=0
run 1 -DKEEP=0
run 1 -DNODES=6 -DEPOCHS=1 -DFIRST=QUORUM
