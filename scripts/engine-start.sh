# shellcheck shell=bash disable=SC2154,SC2013
# How an engine comes to be where there is none. Sourced by scripts/engine, whose functions
# it calls.

log=$cache/dockerd.log
# An engine in the cache comes before the others here; whoever calls this does not see it there.
callers_path=$PATH

# make_engine: the first of these that passes the probe.
make_engine() {
  if ! linux; then
    fail "no container engine answers" "start Docker Desktop, or set DOCKER_HOST"
  elif ! root; then
    # A user's PATH need not lead to where dockerd lies.
    if PATH=$PATH:/usr/sbin:/sbin command -v dockerd >/dev/null || [ -S /var/run/docker.sock ]; then
      fail "no container engine answers to $(id -un)" "sudo systemctl start docker, and sudo usermod -aG docker $(id -un) (then log in again)"
    fi
    debian || fail "there is no container engine" "install Docker Engine 20.10 or later and start it"
    fail "there is no container engine" "sudo apt-get install -y docker.io, or sudo $0 ensure"
  elif ! debian; then
    fail "there is no container engine, and this is not Debian or Ubuntu" "install Docker Engine 20.10 or later and start it"
  fi
  mkdir -p "$cache"
  # 1. An engine that is installed, and one that an earlier call unpacked.
  if [ -x "$cache/engine/usr/sbin/dockerd" ]; then
    requisites
    unpacked && return
  elif command -v dockerd >/dev/null; then
    client
    start && usable && return
    lacks_capability || fail "the installed engine does not work: ${probe_error:-$(last_words)}" "$(where_log)"
  # 2. The distribution's. Before release 23 it asks for every capability there is, for a
  #    privileged container, and cannot start one where CAP_SYS_RESOURCE was taken away.
  elif capable || [ "$(candidate)" -ge 23 ]; then
    install "a container engine" docker.io iptables ca-certificates
    client
    start && usable && return
    lacks_capability || fail "the distribution's engine does not work: ${probe_error:-$(last_words)}" "$(where_log)"
  fi
  # 3. Debian 13's, beside the system and not installed into it: its package asks for newer
  #    libraries than older releases have, though it runs with theirs. runc does not, so
  #    that is this release's own.
  say "CAP_SYS_RESOURCE is missing here, and this release's engine cannot do without: taking Debian 13's"
  stop
  requisites
  unpack_debs trixie "$cache/engine" docker.io docker-cli containerd
  unpacked && return
  fail "Debian 13's engine does not work here either: ${probe_error:-$(last_words)}" "less $log"
}

# requisites: what an engine that is unpacked takes from the system.
requisites() {
  install "what the engine needs" runc iptables libseccomp2 libsystemd0 libdevmapper1.02.1 tini ca-certificates
}

# unpacked: the engine in the cache is started and passes the probe. kind looks for `docker` in PATH:
# without one there, a link leads to the engine's.
unpacked() {
  start "$cache/engine" && usable || return 1
  ! (PATH=$callers_path && command -v docker >/dev/null) || return 0
  mkdir -p /usr/local/bin
  ln -sf "$cache/engine/usr/bin/docker" /usr/local/bin/docker ||
    fail "kind finds no docker in PATH" "ln -sf $cache/engine/usr/bin/docker /usr/local/bin/docker"
  say "linked /usr/local/bin/docker to $cache/engine/usr/bin/docker"
}

# client: newer releases have the program `docker` in a package that the engine only recommends.
client() { command -v docker >/dev/null || install "the engine's client" docker-cli; }

# by_systemd: the engine is a service of this machine. A container may have systemd's files
# and no unit, and a unit needs a systemd that runs.
by_systemd() { [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; }

# last_words, where_log: of the engine that was started last.
last_words() {
  if [ "${started_by-}" = systemd ]; then
    journalctl --unit docker --lines 1 --output cat 2>/dev/null || true
  else
    tail -1 "$log" 2>/dev/null || true
  fi
}
where_log() { if [ "${started_by-}" = systemd ]; then echo "journalctl --unit docker"; else echo "less $log"; fi; }

# capable: this process, and so an engine that it starts, may hand out CAP_SYS_RESOURCE (24).
capable() { [ $((0x$(awk '/^CapBnd/ {print $2}' /proc/self/status) >> 24 & 1)) = 1 ]; }

# lacks_capability: the probe failed for the reason that step 3 mends.
lacks_capability() { ! capable && case $probe_error in *caps*) true ;; *) false ;; esac; }

# candidate: major version of the docker.io that apt would install, 0 if none.
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

# start [FOLDER]: dockerd, of the system or unpacked below FOLDER; true once it answers.
start() {
  local folder=${1-} since=$SECONDS pid
  [ -z "$folder" ] || export PATH="$folder/usr/sbin:$folder/usr/bin:$PATH"
  answers && return 0
  leftovers
  if [ -z "$folder" ] && by_systemd; then
    say "starting the docker service"
    started_by=systemd pid=
    # One that failed too often has to be told that it may try again.
    systemctl reset-failed docker.service docker.socket 2>/dev/null || true
    systemctl start docker >&2 || return 1
  else
    started_by=us
    control_groups
    say "starting dockerd in the background, log in $log"
    # A session of its own, or it would end with this terminal. 9 is our lock.
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
  # Our containers that were being removed when an engine died stay half there for ever.
  docker ps -aq --filter label=dev.seatrial.node-image --filter status=dead --filter status=removing |
    xargs -r docker rm -f >/dev/null 2>&1 || true
}

# stop: the dockerd that failed the probe. One that this call did not start is stopped only where
# it is certain that no container runs in it.
stop() {
  local pid running
  # Of one that was killed the file is still there.
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

# is PID NAME: that process runs and is called so.
is() { [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# leftovers: of an engine whose machine or session ended under it. A pid file may name a
# process that is somebody else today, and a new dockerd would wait for that one.
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
  # With this socket there dockerd would rely on a containerd of the system's.
  if [ -S /run/containerd/containerd.sock ] && ! grep -qx containerd /proc/[0-9]*/comm 2>/dev/null; then
    say "removing /run/containerd/containerd.sock, which nobody serves"
    rm -f /run/containerd/containerd.sock
  fi
}

# control_groups: where no init system has mounted any. What is mounted is left as it is: a
# hierarchy that appears later lacks the groups of containers that run already.
control_groups() {
  local controller
  if ! grep -q ' cgroup2\{0,1\} ' /proc/mounts; then
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for controller in $(awk 'NR > 1 && $4 == 1 {print $1}' /proc/cgroups); do
      mkdir -p "/sys/fs/cgroup/$controller"
      mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller" || rmdir "/sys/fs/cgroup/$controller"
    done
  fi
  # systemd inside the nodes wants a v1 hierarchy of its own.
  if [ ! -f /sys/fs/cgroup/cgroup.controllers ] && ! grep -q ' cgroup .*name=systemd' /proc/mounts; then
    mkdir -p /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  fi
}
