# shellcheck shell=bash
# Programs from Go modules, through Go's own proxy setting. Sourced after common.sh.

# Where no Go is installed, scripts/tools puts one into the cache.
PATH=${SEATRIAL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/seatrial}/tools/go/bin:$PATH
# A toolchain that is there is used as it is: none is downloaded behind the user's back.
# -buildvcs=false: the scratch folder may lie inside somebody's checkout.
export GOTOOLCHAIN=${GOTOOLCHAIN:-local} GOFLAGS=-buildvcs=false GOMAXPROCS=$JOBS GOTMPDIR=$TMPDIR CGO_ENABLED=0

# go_module_file MODULE VERSION: path of the module's own go.mod.
go_module_file() {
  local answer
  answer=$(go mod download -json "$1@$2") || die "no module $1 $2: $(jq -r '.Error // "the module proxy does not answer"' <<< "$answer")"
  jq -r .GoMod <<< "$answer"
}

# go_main NAME MODULE VERSION: makes the scratch folder a module that requires MODULE, its
# language version that of MODULE's own go.mod, with the recipe's main.go as its program.
# `require` and not `go install MODULE@VERSION`: replace lines of MODULE forbid that.
go_main() {
  local name=$1 module=$2 version=$3 file language
  file=$(go_module_file "$module" "$version")
  language=$(awk '$1 == "go" {print $2; exit}' "$file")
  cp "$RECIPE/main.go" .
  printf 'module seatrial.local/%s\n\ngo %s\n\nrequire %s %s\n' "$name" "$language" "$module" "$version" > go.mod
}

# go_tidy_and_build OUTPUT [LDFLAGS]: a static, stripped program. Only the link step sees
# LDFLAGS, so a build of another version reuses the compiled packages in Go's cache.
go_tidy_and_build() {
  step "resolving modules"
  go mod tidy || die "go mod tidy failed (toolchain $(go env GOVERSION), go.mod wants $(awk '$1 == "go" {print $2}' go.mod))"
  step "compiling with $(go env GOVERSION)"
  go build -p "$JOBS" -trimpath -ldflags "-s -w ${2:-}" -o "$1" . || die "go build failed"
}

# go_contents MODULE...: NAME=VERSION lines for about.json, as they were really selected.
go_contents() {
  printf 'go=%s\n' "$(go env GOVERSION)"
  go list -m -f '{{.Path}}={{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}' "$@"
}
