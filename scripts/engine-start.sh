# shellcheck shell=bash disable=SC2154,SC2013
# Installs and starts a container engine. Sourced by scripts/engine, whose functions it calls.

log=$cache/dockerd.log
# start() puts an engine in the cache first in PATH. The caller's own PATH does not have it.
callers_path=$PATH

# make_engine: tries the engines below in order, and keeps the first that passes the probe.
make_engine() {
  if ! linux; then
    fail "no container engine answers" "start Docker Desktop, or set DOCKER_HOST"
  elif ! root; then
    # The PATH of a user may lack the folder of dockerd.
    if PATH=$PATH:/usr/sbin:/sbin command -v dockerd >/dev/null || [ -S /var/run/docker.sock ]; then
      fail "no container engine answers to $(id -un)" "sudo systemctl start docker, and sudo usermod -aG docker $(id -un) (then log in again)"
    fi
    debian || fail "there is no container engine" "install Docker Engine 20.10 or later and start it"
    fail "there is no container engine" "sudo apt-get install -y docker.io, or sudo $0 ensure"
  elif ! debian; then
    fail "there is no container engine, and this is not Debian or Ubuntu" "install Docker Engine 20.10 or later and start it"
  fi
  mkdir -p "$cache"
  # 1. An engine that is installed, or that an earlier call unpacked.
  if [ -x "$cache/engine/usr/sbin/dockerd" ]; then
    requisites
    unpacked && return
  elif command -v dockerd >/dev/null; then
    client
    start && usable && return
    lacks_capability || fail "the installed engine does not work: ${probe_error:-$(last_words)}" "$(where_log)"
  # 2. The distribution's engine. Before release 23 it requests every capability for a privileged container, and cannot
  #    start such a container on a machine without CAP_SYS_RESOURCE.
  elif capable || [ "$(candidate)" -ge 23 ]; then
    install "a container engine" docker.io iptables ca-certificates
    client
    start && usable && return
    lacks_capability || fail "the distribution's engine does not work: ${probe_error:-$(last_words)}" "$(where_log)"
  fi
  # 3. Debian 13's engine, unpacked but not installed: its package requires newer libraries than older releases have,
  #    although its programs run with the older ones. Its runc does not, so this release's own runc is used.
  say "this machine lacks CAP_SYS_RESOURCE, which this release's engine needs: using Debian 13's engine"
  stop
  requisites
  unpack_debs trixie "$cache/engine" docker.io docker-cli containerd
  unpacked && return
  fail "Debian 13's engine does not work here either: ${probe_error:-$(last_words)}" "less $log"
}

# requisites: installs the system packages that an unpacked engine needs.
requisites() {
  install "what the engine needs" runc iptables libseccomp2 libsystemd0 libdevmapper1.02.1 tini ca-certificates
}

# unpacked: starts the engine in the cache, and succeeds if it passes the probe. kind looks for `docker` in PATH: if
# there is none, a link to the engine's client is made.
unpacked() {
  start "$cache/engine" && usable || return 1
  ! (PATH=$callers_path && command -v docker >/dev/null) || return 0
  mkdir -p /usr/local/bin
  ln -sf "$cache/engine/usr/bin/docker" /usr/local/bin/docker ||
    fail "kind finds no docker in PATH" "ln -sf $cache/engine/usr/bin/docker /usr/local/bin/docker"
  say "linked /usr/local/bin/docker to $cache/engine/usr/bin/docker"
}

# client: installs the program `docker`. In newer releases it is in a package that the engine's only recommends.
client() { command -v docker >/dev/null || install "the engine's client" docker-cli; }

# by_systemd: succeeds if the engine is a systemd service of this machine. Both checks are needed: a container may have
# systemd's files and no unit, and a unit needs a running systemd.
by_systemd() { [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; }

# last_words, where_log: the last log line of the engine that was started last, and the command that shows its log.
last_words() {
  if [ "${started_by-}" = systemd ]; then
    journalctl --unit docker --lines 1 --output cat 2>/dev/null || true
  else
    tail -1 "$log" 2>/dev/null || true
  fi
}
where_log() { if [ "${started_by-}" = systemd ]; then echo "journalctl --unit docker"; else echo "less $log"; fi; }

# capable: succeeds if this process, and so an engine that it starts, may hand out CAP_SYS_RESOURCE (24).
capable() { [ $((0x$(awk '/^CapBnd/ {print $2}' /proc/self/status) >> 24 & 1)) = 1 ]; }

# lacks_capability: succeeds if the probe failed for lack of this capability, which step 3 fixes.
lacks_capability() { ! capable && case $probe_error in *caps*) true ;; *) false ;; esac; }

# candidate: prints the major version of the docker.io that apt would install, 0 if none.
candidate() {
  local version
  version=$(apt-cache policy docker.io 2>/dev/null | awk '/Candidate:/ {print $2}')
  if [ "${version:-(none)}" = "(none)" ]; then
    apt-get update -qq >&2 || true
    version=$(apt-cache policy docker.io 2>/dev/null | awk '/Candidate:/ {print $2}')
  fi
  version=${version#*:} version=${version%%.*}
  case $version in '' | *[!0-9]*) echo 0 ;; *) echo "$version" ;; esac
}

# start [FOLDER]: starts the dockerd of the system, or the one unpacked below FOLDER; succeeds once it answers.
start() {
  local folder=${1-} since=$SECONDS pid
  [ -z "$folder" ] || export PATH="$folder/usr/sbin:$folder/usr/bin:$PATH"
  answers && return 0
  leftovers
  if [ -z "$folder" ] && by_systemd; then
    say "starting the docker service"
    started_by=systemd pid=
    # After too many failures systemd refuses to start the unit until reset-failed.
    systemctl reset-failed docker.service docker.socket 2>/dev/null || true
    systemctl start docker >&2 || return 1
  else
    started_by=us
    control_groups
    say "starting dockerd in the background, log in $log"
    # Without a session of its own dockerd would end with this terminal. File descriptor 9 is this script's lock, which
    # dockerd must not inherit.
    # shellcheck disable=SC2086
    setsid nohup dockerd ${SEATRIAL_DOCKERD_FLAGS:-} >> "$log" 2>&1 < /dev/null 9>&- &
    pid=$!
  fi
  until answers; do
    if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then
      say "dockerd ended: $(last_words)"
      return 1
    fi
    [ $((SECONDS - since)) -lt 60 ] || { say "dockerd does not answer: $(last_words)"; return 1; }
    sleep 0.3
  done
  say "it answers after $((SECONDS - since)) s"
  # If an engine dies while it removes seatrial's containers, they stay half removed for ever.
  docker ps -aq --filter label=dev.seatrial.node-image --filter status=dead --filter status=removing |
    xargs -r docker rm -f >/dev/null 2>&1 || true
}

# stop: stops the dockerd that failed the probe. A dockerd that this call did not start is stopped only if certainly no
# container runs in it.
stop() {
  local pid running
  # A killed dockerd leaves this file.
  pid=$(cat /var/run/docker.pid 2>/dev/null) || return 0
  is "$pid" dockerd || return 0
  if [ -z "${started_by-}" ]; then
    running=$(limited 15 docker ps --quiet 2>/dev/null) || running=unknown
    [ -z "$running" ] ||
      fail "the engine that runs here cannot start a privileged container, and is not ours to stop" "stop its containers and it, or set DOCKER_HOST to another engine"
  fi
  if by_systemd; then
    systemctl stop docker.socket docker || true
  else
    kill "$pid"
    for _ in $(seq 50); do is "$pid" dockerd || break; sleep 0.2; done
  fi
}

# is PID NAME: succeeds if that process runs and has this name.
is() { [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# leftovers: removes files of an engine that ended with its machine or session. A pid file may hold the number of an
# unrelated process by now, and a new dockerd would wait for that process.
leftovers() {
  local file name
  for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    name=dockerd
    case $file in */containerd.pid) name=containerd ;; esac
    if [ -f "$file" ] && ! is "$(cat "$file")" "$name"; then
      say "removing $file of an engine that is gone"
      rm -f "$file"
    fi
  done
  # If this socket exists, dockerd relies on a containerd of the system.
  if [ -S /run/containerd/containerd.sock ] && ! grep -qx containerd /proc/[0-9]*/comm 2>/dev/null; then
    say "removing /run/containerd/containerd.sock, which nobody serves"
    rm -f /run/containerd/containerd.sock
  fi
}

# control_groups: mounts control group hierarchies if no init system has. Mounted ones stay as they are: a hierarchy
# that appears later lacks the groups of containers that run already.
control_groups() {
  local controller
  if ! grep -q ' cgroup2\{0,1\} ' /proc/mounts; then
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for controller in $(awk 'NR > 1 && $4 == 1 {print $1}' /proc/cgroups); do
      mkdir -p "/sys/fs/cgroup/$controller"
      mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
    done
  fi
  # With cgroup v1, systemd inside the nodes needs a hierarchy of its own.
  if [ ! -f /sys/fs/cgroup/cgroup.controllers ] && ! grep -q ' cgroup .*name=systemd' /proc/mounts; then
    mkdir -p /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  fi
}
