# shellcheck shell=sh disable=SC2034
# Shared by the proofs that take several commands of seatrial.
set -eu
seatrial=target/release/seatrial
# The first code that was not 0: what comes after a claim that failed is run all the same.
code=0

# A shell with a trap goes on when the command that it waits for has ended: seatrial has healed by then.
# Without one dash ends at once, and bash runs the next command.
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
# interrupted CODE: the end of all. A claim that failed before counts more.
interrupted() {
  [ "$code" -ne 0 ] || code=$1
  exit "$code"
}

# proved COMMAND...: runs it; `last` is its code then.
proved() {
  echo "== $*" >&2
  last=0
  "$@" || {
    last=$?
    case $last in 130 | 143) interrupted "$last" ;; esac
    [ "$code" -ne 0 ] || code=$last
  }
}

# made ARGUMENTS OF up...: makes a cluster and says its name.
made() {
  # A substitution has forgotten the traps, and has to wait too.
  trap : INT TERM
  out=$("$seatrial" up "$@")
  printf '%s\n' "$out" | head -n 1
}

# kubernetes NAME: the version that a cluster of seatrial has by its record.
kubernetes() {
  "$seatrial" list | sed -n "s/^$1  .*, Kubernetes \\([^,]*\\),.*/\\1/p"
}
