# shellcheck shell=sh disable=SC2034
# Shared by the proofs that take several commands of seatrial.
set -eu
seatrial=target/release/seatrial
# The first exit code that was not 0. The following commands run in spite of a failed claim.
code=0

# On a signal, a shell with a trap waits until its current command has ended: seatrial has healed by then. Without a trap,
# dash would end at once, and bash would run the next command.
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
# interrupted CODE: ends the script. The code of an earlier failed claim takes precedence.
interrupted() {
  [ "$code" -ne 0 ] || code=$1
  exit "$code"
}

# proved COMMAND...: runs the command and sets `last` to its exit code.
proved() {
  echo "== $*" >&2
  last=0
  "$@" || {
    last=$?
    case $last in 130 | 143) interrupted "$last" ;; esac
    [ "$code" -ne 0 ] || code=$last
  }
}

# made ARGUMENTS OF up...: creates a cluster and prints its name.
made() {
  # A command substitution does not inherit the traps, and must wait too.
  trap : INT TERM
  out=$("$seatrial" up "$@")
  printf '%s\n' "$out" | head -n 1
}

# kubernetes NAME: prints the Kubernetes version in the cluster's record.
kubernetes() {
  "$seatrial" list | sed -n "s/^$1  .*, Kubernetes \\([^,]*\\),.*/\\1/p"
}
