# shellcheck shell=bash
# What the node's scripts know about its network. IPv4 only.

# uplink: the device of the default route. Docker's network is behind it; one that is closed
# to the outside has no default route.
uplink() {
  local device
  device=$(ip -4 route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
  printf '%s\n' "${device:-eth0}"
}

# own_address: of this node on docker's network.
own_address() { ip -4 -o address show dev "$(uplink)" scope global | awk '{sub(/\/.*/, "", $4); print $4; exit}'; }

# subnet KEY: podSubnet or serviceSubnet as kind gave it to kubeadm; with two families the
# IPv4 part.
subnet() {
  sed -n "s/^ *$1: *//p" /kind/kubeadm.conf | head -1 | tr -d "\"'" | tr ',' '\n' | grep -m1 -F . || true
}

# first_address CIDR: the lowest host address, which is the API's in the service range.
first_address() {
  local a b c d bits n
  IFS=./ read -r a b c d bits <<< "$1"
  n=$((((a << 24 | b << 16 | c << 8 | d) & (0xffffffff << (32 - bits))) + 1))
  printf '%d.%d.%d.%d\n' $((n >> 24 & 255)) $((n >> 16 & 255)) $((n >> 8 & 255)) $((n & 255))
}

# once TABLE CHAIN RULE...: appends the rule unless it is there.
once() {
  local table=$1 chain=$2
  shift 2
  iptables -w -t "$table" -C "$chain" "$@" 2>/dev/null || iptables -w -t "$table" -A "$chain" "$@"
}

# chain TABLE NAME FROM...: an empty or kept chain NAME that the chains FROM go through.
chain() {
  local table=$1 name=$2 from
  shift 2
  iptables -w -t "$table" -N "$name" 2>/dev/null || true
  for from in "$@"; do once "$table" "$from" -j "$name"; done
}

# control_plane: host name under which this node's kubelet reaches the API.
control_plane() { sed -n 's#^ *server: https://\(.*\):[0-9]*$#\1#p' "$1" | head -1; }

# early_translation ADDRESS: the API's service address works before kube-proxy has written
# its rules; a client that starts in that gap (CoreDNS does, at each start of a node) would
# back off for up to 30 s. kube-proxy puts its own chain in front, so this one ends by itself.
early_translation() {
  local service
  service=$(first_address "$(subnet serviceSubnet)")
  chain nat SEATRIAL-EARLY PREROUTING OUTPUT
  iptables -w -t nat -F SEATRIAL-EARLY
  iptables -w -t nat -A SEATRIAL-EARLY -d "$service" -p tcp --dport 443 -j DNAT --to-destination "$1:6443"
}

# guard: nothing leaves this node with a service's or a pod's address on it. Until kube-proxy
# has written its rules a packet for a service would follow the default route, out of the
# machine, where something may even answer. The rule sees packets after the translation, so
# what is translated passes. A pod's address without a route of its own (podnet makes those)
# is nowhere. The ranges are in /kind/kubeadm.conf: at a node's first start kind writes it
# later than the entrypoint runs, and kubelet-prepare calls this again.
guard() {
  local services pods
  [ -f /kind/kubeadm.conf ] || return 0
  services=$(subnet serviceSubnet) pods=$(subnet podSubnet)
  chain filter SEATRIAL-GUARD FORWARD OUTPUT
  chain filter SEATRIAL-DNS OUTPUT
  [ -z "$services" ] || once filter SEATRIAL-GUARD -o "$(uplink)" -d "$services" -j REJECT
  [ -z "$pods" ] || ip route replace unreachable "$pods" metric 4096
  # The entrypoint refuses DNS to the outside; cluster DNS may run in a pod elsewhere.
  [ -z "$pods" ] || iptables -w -C SEATRIAL-DNS -d "$pods" -j RETURN 2>/dev/null || iptables -w -I SEATRIAL-DNS -d "$pods" -j RETURN
}
