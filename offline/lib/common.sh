# shellcheck shell=bash
# Sourced first by every recipe: the environment's contract, progress, failure.
#
# A recipe is run in an empty scratch folder and is told
#   OUT          the empty folder its results go to
#   RECIPE       its own folder
#   VERSION      the version asked for, empty where there is none
#   NEED_<NAME>  the output folder of each piece it needs
#   JOBS         the number of cores it may use
# It writes nowhere else. Lines on stdout that begin with `step: ` are progress,
# everything else is log. The last line of a failed recipe says what failed.
set -Eeuo pipefail

: "${OUT:?the folder for the results}" "${RECIPE:?the folder of this recipe}"
VERSION=${VERSION-}
JOBS=${JOBS:-$(nproc)}
PIECE=${RECIPE##*/}
LIB=${BASH_SOURCE[0]%/*}
# Helpers that make temporary files (mmdebstrap, go, tar) make them in the scratch
# folder, so that a recipe that was killed leaves nothing elsewhere. (A subfolder: go
# ignores a go.mod that lies in the temporary folder itself.)
export TMPDIR=$PWD/tmp LC_ALL=C.UTF-8
mkdir -p "$TMPDIR"

# step TEXT: shown to the user, with the time since the step before.
step() { printf 'step: %s\n' "$*"; }

# die TEXT: ends the recipe; TEXT is its last line. Where a function in a subshell died, its
# callers die of that: the first reason given is the one that is repeated.
die() {
  trap - ERR
  [ -s "$TMPDIR/died" ] || printf '%s: %s\n' "$PIECE${VERSION:+ $VERSION}" "$(tr -s '\n\t' '  ' <<< "$*")" > "$TMPDIR/died"
  cat "$TMPDIR/died" >&2
  exit 1
}

# With set -E a failing command inside a function or subshell is named as well.
trap 'die "exit $? of: ${BASH_COMMAND%%$'"'\n'"'*} (${BASH_SOURCE[0]##*/} line $LINENO)"' ERR

# have PROGRAM...: fails early, and names what is missing all at once.
have() {
  local p missing=()
  for p in "$@"; do command -v "$p" >/dev/null || missing+=("$p"); done
  [ ${#missing[@]} -eq 0 ] || die "not installed: ${missing[*]} (scripts/tools offline installs what recipes need)"
}

# about SUBSTITUTES NAME=VERSION...: about.json, which says what this really is.
about() {
  local substitutes=$1 item
  shift
  for item in "$@"; do printf '%s\n' "$item"; done |
    jq -Rn --arg piece "$PIECE" --arg version "$VERSION" --arg substitutes "$substitutes" '
      {piece: $piece, version: $version, substitutes: $substitutes,
       contents: ([inputs | capture("^(?<key>[^=]+)=(?<value>.*)$")] | from_entries)}' > "$OUT/about.json"
}

# isolated COMMAND...: runs it with mounts and processes of its own. Whatever ends the
# recipe, SIGKILL included, ends them too: the kernel kills `unshare` with its parent,
# `unshare` takes its child along, and with that child goes the whole PID namespace.
isolated() {
  setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$@"
}
