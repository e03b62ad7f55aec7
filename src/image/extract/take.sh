# Extracts programs and images from a node image, from inside of a container of that image. containerd runs there,
# systemd does not, and /var is a volume. VERSION is the Kubernetes version that the image must have.
#
# Writes the images that its kubeadm requires into one archive, and prints these lines:
#   program NAME FILE BYTES     kubeadm, kubelet, kubectl; FILE with links resolved
#   image NAME                  the name that kubeadm requires
#   stand-in NAME FOR           image NAME is used in place of FOR, which is missing
#   archive FILE BYTES
set -euo pipefail
version=$1 out=/var/seatrial
die() { printf '%s\n' "$*" >&2; exit 1; }
ctr() { command ctr --namespace k8s.io "$@"; }

said=$(kubeadm version --output short) || die "it has no kubeadm that runs"
[ "$said" = "v$version" ] || die "its kubeadm is $said, not v$version"
said=$(kubelet --version) || die "it has no kubelet that runs"
[ "${said##* }" = "v$version" ] || die "its kubelet is ${said##* }, not v$version"
for program in kubeadm kubelet kubectl; do
  file=$(command -v "$program") || die "it has no $program"
  file=$(readlink -f "$file")
  echo "program $program $file $(stat -c %s "$file")"
done

for _ in $(seq 150); do
  ! ctr version > /dev/null 2>&1 || break
  sleep 0.2
done
ctr version > /dev/null 2>&1 || die "its containerd does not answer: $(tail -n 3 /tmp/containerd.log 2>&1)"

names=$(kubeadm config images list --kubernetes-version "v$version" 2> /tmp/kubeadm.log) ||
  die "its kubeadm does not say which images it names: $(tail -n 1 /tmp/kubeadm.log)"
mapfile -t wanted <<< "$names"
present=$'\n'$(ctr images ls -q)$'\n'
missing=()
for image in "${wanted[@]}"; do
  if [[ $present != *$'\n'"$image"$'\n'* ]]; then
    # kind's images contain the pause image that their containerd is configured with, not kubeadm's. Any pause image
    # does what kubeadm needs: it runs with -v, and waits.
    other=${present#*$'\n'"${image%:*}":}
    if [[ $image != */pause:* || $other = "$present" ]]; then
      missing+=("$image")
      continue
    fi
    other=${image%:*}:${other%%$'\n'*}
    ctr images tag "$other" "$image" > /dev/null
    echo "stand-in $other $image"
  fi
  echo "image $image"
done
[ ${#missing[@]} = 0 ] || die "its kubeadm names images that it does not hold: ${missing[*]}"

# Exports images whose packed layers were not kept: each from its file system, as one layer.
flattened() {
  local digest config layer json image
  local -A names=()
  for image in "${wanted[@]}"; do
    digest=$(ctr images ls "name==$image" | awk 'NR == 2 {print $3}')
    names[$digest]+=" $image"
  done
  mkdir -p archive root
  for digest in "${!names[@]}"; do
    read -ra images <<< "${names[$digest]}"
    config=$(ctr content get "$digest" | jq -r '.config.digest // empty')
    [ -n "$config" ] || die "${images[0]} is of several platforms and its layers are not there"
    ctr images mount "${images[0]}" root > /dev/null
    layer=$(tar -C root --sort=name --numeric-owner --xattrs --xattrs-include='*' -cf - . | tee archive/part | sha256sum)
    layer=${layer%% *}
    ctr images unmount --rm root > /dev/null
    mv archive/part "archive/$layer.tar"
    json=$(ctr content get "$config" |
      jq -c --arg layer "sha256:$layer" 'del(.history) | .rootfs = {type: "layers", diff_ids: [$layer]}')
    config=$(printf %s "$json" | sha256sum)
    config=${config%% *}.json
    printf %s "$json" > "archive/$config"
    jq -cn --arg config "$config" --arg layer "$layer.tar" --args \
      '{Config: $config, RepoTags: $ARGS.positional, Layers: [$layer]}' "${images[@]}" >> lines
  done
  jq -s . lines > archive/manifest.json
  (cd archive && tar --numeric-owner --owner=0 --group=0 -cf ../images.tar manifest.json [0-9a-f]*.json [0-9a-f]*.tar)
}

mkdir -p "$out"
cd "$out"
# With --local the client exports, and leaves out the platforms that an index names and the image does not contain.
how=()
case $(command ctr images export --help) in *--local*) how=(--local) ;; esac
if ! why=$(ctr images export "${how[@]}" images.tar "${wanted[@]}" 2>&1); then
  [[ $why = *'not found'* ]] || die "its images cannot be exported: $why"
  rm -f images.tar
  flattened
fi
echo "archive $out/images.tar $(stat -c %s images.tar)"
