# shellcheck shell=bash
# Root file systems and single packages from a Debian mirror, without touching the
# machine's own apt. Sourced after common.sh.

# The mirror that this machine itself uses, so that none is named here: the archive that
# apt is configured with, the security archive left out. Elsewhere than on Debian the
# user names one.
debian_mirror() {
  if [ -n "${SEATRIAL_DEBIAN_MIRROR:-}" ]; then
    printf '%s\n' "$SEATRIAL_DEBIAN_MIRROR"
    return
  fi
  local uri=
  if grep -qx 'ID=debian' /etc/os-release; then
    uri=$(apt_uri "$(. /etc/os-release && printf %s "$VERSION_CODENAME")")
  fi
  [ -n "$uri" ] || die "no Debian mirror known: set SEATRIAL_DEBIAN_MIRROR to the URI of one"
  printf '%s\n' "$uri"
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

# rootfs SUITE VARIANT PACKAGES FILE [HOOK]: FILE.tar of the packages and what they depend
# on, FILE.packages with their versions. HOOK is a shell command with the root as $1.
rootfs() {
  local suite=$1 variant=$2 packages=$3 file=$4 hook=${5:-true} mirror
  mirror=$(debian_mirror)
  # Check-Valid-Until: a mirror that is frozen in time has expired Release files.
  # Locales, documentation and apt's lists are of no use inside an image.
  # A fixed time makes equal contents equal bytes.
  # Nothing half written is kept, so dpkg need not wait for the disk after each file.
  # /dev is whoever runs the image's business: the root has none.
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} isolated mmdebstrap --quiet --mode=root --format=tar --skip=output/dev \
    --variant="$variant" --include="$packages" --components=main \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/lintian/*' --dpkgopt='path-exclude=/usr/share/bash-completion/*' \
    --customize-hook="$hook" \
    --customize-hook="dpkg-query --admindir=\"\$1/var/lib/dpkg\" -W -f '\${Package}=\${Version}\n' > '$file.packages'" \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old "$1"/var/log/*' \
    "$suite" "$file.tar" "$mirror" || die "no root file system of $suite with $packages from $mirror"
}

# debs SUITE PACKAGE...: downloads these packages (not what they depend on) into the
# scratch folder, by an apt whose state lives there as well.
debs() {
  local suite=$1 mirror apt=$PWD/apt
  shift
  mirror=$(debian_mirror)
  mkdir -p "$apt"/{lists/partial,archives/partial,parts}
  : > "$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" > "$apt/sources.list"
  local options=(-qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt"
    -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts"
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt/parts"
    -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 -o Acquire::Languages=none
    -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update || die "cannot read the package list of $suite from $mirror"
  apt-get "${options[@]}" download "$@" || die "cannot download $* of $suite from $mirror"
}

# package_version NAME FILE.packages: the Debian version of one package in a root.
package_version() { awk -F= -v n="$1" '$1 == n {print $2; exit}' "$2"; }

# upstream_is FOUND WANTED: 1.22.1 is a 1.22, 1.221 is not. Else the recipe ends.
upstream_is() {
  case $1 in
    "$2" | "$2".*) ;;
    *) die "asked for $2, but suite ${SUITE:-of the mirror} now has $1: change images/offline.toml" ;;
  esac
}
