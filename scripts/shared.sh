# shellcheck shell=bash disable=SC2034,SC2154,SC2016
# Shared by the scripts of this folder. They run before cargo can. The part that checks for installed programs also runs
# on macOS: bash 3.2, no flock, no timeout.

set -euo pipefail
cache=${SEATRIAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/seatrial}
tools=$cache/tools

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# fail TEXT HINT: prints what is wrong and the command that fixes the problem. Exit code 69 means that something needed is
# missing, as everywhere in seatrial.
fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 69
}

# limited SECONDS COMMAND...: kills a command that hangs (for example on a socket that nobody serves), and returns 124.
# The kill comes from outside, because programs in Go, such as docker, ignore an alarm of their own.
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
# debian: succeeds on Debian, Ubuntu and relatives, whose package names the scripts know.
debian() { linux && command -v apt-get >/dev/null && grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; }

# install REASON PACKAGE...: installs missing packages from the machine's own package sources.
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
  # The package list may be months old; it is updated only if the installation fails with it.
  apt_install $missing || { apt-get update -qq && apt_install $missing; } >&2 ||
    fail "apt-get cannot install$missing" "apt-get update && apt-get install$missing"
}
# Without recommended packages, which the user did not ask for. DPkg::Lock::Timeout waits for another apt.
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}

# resume_dpkg: completes the work of a killed dpkg, because apt refuses everything until then. If another dpkg still
# runs, this fails, and apt waits for that one.
resume_dpkg() {
  ls /var/lib/dpkg/updates 2>/dev/null | grep -q . || return 0
  say "dpkg was interrupted: dpkg --configure -a"
  DEBIAN_FRONTEND=noninteractive dpkg --configure -a </dev/null >&2 || true
}

# mirror: prints the Debian archive that this machine's apt uses, but not the security archive.
mirror() {
  if [ -n "${SEATRIAL_DEBIAN_MIRROR:-}" ]; then
    printf '%s\n' "$SEATRIAL_DEBIAN_MIRROR"
  elif linux && grep -qx ID=debian /etc/os-release; then
    apt_uri "$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")"
  fi
}

# apt_uri CODENAME: prints the archive from which this machine's apt takes that suite, read from its sources in either
# format. (apt itself would first parse all its lists, which takes seconds.)
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

# unpack_debs SUITE FOLDER PACKAGE...: unpacks packages of another Debian suite below FOLDER. apt's lists, cache and
# sources for this are there too. Nothing is installed, and the machine's own apt and dpkg are not changed.
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
  # A folder gets its final name only when it is complete.
  rm -rf "$folder" "$apt"
  mv "$folder.part" "$folder"
}

# locked NAME: lets one process at a time continue. The kernel releases the lock when this process ends.
locked() {
  mkdir -p "$cache"
  if command -v flock >/dev/null; then
    exec 9> "$cache/$1.lock"
    flock -n 9 || { say "waiting for another process that does the same"; flock 9; }
  fi
}
