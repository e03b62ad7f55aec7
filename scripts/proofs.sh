# shellcheck shell=sh disable=SC2034
# Shared by the proofs that take several commands of seatrial.
set -eu
seatrial=target/release/seatrial
# The first code that was not 0: what comes after a claim that failed is run all the same.
code=0

# proved COMMAND...
proved() {
  echo "== $*" >&2
  "$@" || { last=$?; [ "$code" -ne 0 ] || code=$last; }
}

# made ARGUMENTS OF up...: makes a cluster and says its name.
made() {
  out=$("$seatrial" up "$@")
  printf '%s\n' "$out" | head -n 1
}
