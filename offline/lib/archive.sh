# shellcheck shell=bash
# Container images without a container engine: the archive format of `docker save`, which
# `docker load`, `ctr images import` and `kind load image-archive` read. Sourced after
# common.sh. The archive is put together in ./archive of the scratch folder:
#
#   a=$(layer_of_folder FOLDER)         one layer, named by its digest
#   image CONFIG-JSON "$a $b" TAG...    one image of such layers under all these names
#   archive FILE.tar                    everything so far, as one file
#
# Equal layers are stored once, however many images use them.

# layer_of_folder FOLDER [TAR-OPTION...] -> digest of the layer
layer_of_folder() {
  local folder=$1
  shift
  tar -C "$folder" --sort=name --numeric-owner --xattrs --xattrs-include='*' "$@" -cf - . | layer_of_stream
}

# layer_of_stream < TAR -> digest. The bytes are written and hashed in one pass.
layer_of_stream() {
  local part digest
  mkdir -p archive
  part=$(mktemp archive/part.XXXXXX)
  digest=$(tee "$part" | sha256sum | cut -d' ' -f1)
  mv "$part" "archive/$digest.tar"
  printf '%s\n' "$digest"
}

# labels DESCRIPTION BUILT-FROM: what every image says about itself.
labels() {
  jq -n --arg description "$1" --arg from "$2" '{
    "org.opencontainers.image.description": $description,
    "org.opencontainers.image.vendor": "seatrial (offline profile; not an upstream image)",
    "dev.seatrial.built-from": $from}'
}

# image CONFIG "LAYERS" TAG...: CONFIG is the image configuration's `config` object.
image() {
  local config=$1 layers=$2 json digest
  shift 2
  json=$(jq -cn --argjson config "$config" --arg layers "$layers" --arg arch "$(dpkg --print-architecture)" '{
    created: "1970-01-01T00:00:00Z", architecture: $arch, os: "linux", config: $config,
    rootfs: {type: "layers", diff_ids: ($layers | split(" ") | map("sha256:" + .))},
    history: ($layers | split(" ") | map({created: "1970-01-01T00:00:00Z", created_by: "seatrial"}))}')
  digest=$(printf %s "$json" | sha256sum | cut -d' ' -f1)
  printf %s "$json" > "archive/$digest.json"
  jq -cn --arg config "$digest.json" --arg layers "$layers" --args \
    '{Config: $config, RepoTags: $ARGS.positional, Layers: ($layers | split(" ") | map(. + ".tar"))}' "$@" >> archive/manifest.lines
}

# archive FILE: manifest.json first, so that a reader knows the rest at once.
archive() {
  jq -s . archive/manifest.lines > archive/manifest.json
  rm archive/manifest.lines
  (cd archive && tar --numeric-owner --owner=0 --group=0 --mtime=@0 -cf "$1" manifest.json [0-9a-f]*.json [0-9a-f]*.tar)
  rm -rf archive
}

# no_whiteouts FOLDER: a device 0:0 is overlayfs' word for "deleted here", and .wh.* the
# archive's: inside a layer they would be obeyed instead of kept.
no_whiteouts() {
  local found
  found=$(find "$1" \( -type c -exec sh -c '[ "$(stat -c %t:%T "$1")" = 0:0 ]' _ {} \; -o -name '.wh.*' \) -print)
  [ -z "$found" ] || die "whiteouts in a layer, flatten that image first: $(head -3 <<< "$found" | tr '\n' ' ')"
}
