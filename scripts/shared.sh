# shellcheck shell=bash disable=SC2034,SC2154,SC2016
# Shared by the scripts of this folder. They run before cargo can, so the part that finds
# everything in place keeps to what macOS has as well: bash 3.2, no flock, no timeout.

set -euo pipefail
cache=${SEATRIAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/seatrial}
tools=$cache/tools

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail TEXT HINT: one line that says what is wrong, one with the command that mends it.
# 69 is "something needed is not there", as everywhere in seatrial.
fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 69
}

# limited SECONDS COMMAND...: ends a command that hangs (a socket that nobody serves); 124 then. It is
# killed from outside: programs in Go, docker among them, take no notice of an alarm of their own.
limited() {
  perl -e '
    ($seconds, @command) = @ARGV;
    $SIG{CHLD} = "DEFAULT";
    defined($pid = fork) or exit 127;
    $pid or exec @command or exit 127;
    $SIG{ALRM} = sub { kill KILL => $pid };
    alarm $seconds;
    1 while waitpid($pid, 0) < 0 && $!{EINTR};
    exit($? & 127 ? 124 : $? >> 8)' "$@"
}

linux() { [ "$(uname -s)" = Linux ]; }
root() { [ "$(id -u)" = 0 ]; }
# debian: a system whose packages and their names we know.
debian() { linux && command -v apt-get >/dev/null && grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; }

# install REASON PACKAGE...: from the machine's own package sources, those that are missing.
install() {
  local reason=$1 package missing=
  shift
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  root || fail "$reason:$missing not installed" "sudo apt-get install -y$missing"
  say "installing$missing ($reason)"
  resume_dpkg
  # shellcheck disable=SC2086
  # The list is fetched only where the machine's own cannot serve: it may be months old.
  apt_install $missing || { apt-get update -qq && apt_install $missing; } >&2 ||
    fail "apt-get cannot install$missing" "apt-get update && apt-get install$missing"
}
# Recommended packages are not ours to add; DPkg::Lock::Timeout waits for another apt.
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}

# resume_dpkg: apt refuses everything after a dpkg that was killed. Where one still runs this fails,
# and apt waits for it.
resume_dpkg() {
  ls /var/lib/dpkg/updates 2>/dev/null | grep -q . || return 0
  say "dpkg was interrupted: dpkg --configure -a"
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a </dev/null >&2 || true
}

# mirror: the Debian archive that this machine's apt uses, the security archive left out.
mirror() {
  if [ -n "${SEATRIAL_DEBIAN_MIRROR:-}" ]; then
    printf '%s\n' "$SEATRIAL_DEBIAN_MIRROR"
  elif linux && grep -qx ID=debian /etc/os-release; then
    apt_uri "$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")"
  fi
}

# apt_uri CODENAME: where this machine's apt takes that suite from, read from its sources in
# either format. (Asking apt itself makes it parse all its lists first: seconds of work.)
apt_uri() {
  {
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } | sed 's/\[[^]]*\]//' |
      awk -v own="$1" '$1 == "deb" && $3 == own {print $2}'
    awk -v own="$1" 'BEGIN {RS = ""; FS = "\n"} {
      uri = suites = ""
      for (i = 1; i <= NF; i++) {
        if ($i ~ /^URIs:/) { split($i, word, " "); uri = word[2] }
        if ($i ~ /^Suites:/) suites = substr($i, 8) " "
        if ($i ~ /^Enabled: *no/) next
      }
      if (index(suites, " " own " ")) print uri
    }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
  } | sed '/security/d' | sed -n 1p
}

# unpack_debs SUITE FOLDER PACKAGE...: unpacks packages of another Debian suite below FOLDER,
# by an apt that has its lists, cache and sources there too. Nothing is installed, and the
# machine's own apt and dpkg never hear of it.
unpack_debs() {
  local suite=$1 folder=$2 uri apt file
  shift 2
  uri=$(mirror)
  [ -n "$uri" ] || fail "no Debian mirror known to take $* from" "SEATRIAL_DEBIAN_MIRROR=<URI of a Debian mirror> $0 $arguments"
  [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || install "to verify Debian's packages" debian-archive-keyring
  apt=$folder.apt
  rm -rf "$apt" "$folder.part"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/parts" "$folder.part"
  : > "$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$suite" > "$apt/sources.list"
  private_apt() {
    apt-get -qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
      -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts" \
      -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt/parts" \
      -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 -o Acquire::Languages=none \
      -o APT::Sandbox::User="$(id -un)" "$@" >&2
  }
  say "downloading $* of Debian $suite"
  private_apt update
  (cd "$apt/archives" && private_apt download "$@")
  for file in "$apt"/archives/*.deb; do
    say "  $(basename "$file" .deb)"
    dpkg-deb --extract "$file" "$folder.part"
  done
  # Whole or not at all: a folder under its final name is complete.
  rm -rf "$folder" "$apt"
  mv "$folder.part" "$folder"
}

# locked NAME: one at a time; the lock goes with this process, however it ends.
locked() {
  mkdir -p "$cache"
  if command -v flock >/dev/null; then
    exec 9> "$cache/$1.lock"
    flock -n 9 || { say "another one is at it: waiting"; flock 9; }
  fi
}
