#!/usr/bin/env bash
# Builds the image and does with it what its users do: bash test/image/run.sh
#
# Needs Docker, or buildah and podman; curl; and Node with the packages of this clone (npm ci), for the practice upstream.
# It is not part of npm test. Environment, all optional:
#   BASE_IMAGE     the base instead of node:24-bookworm-slim; localhost/... for one that was made on this machine
#   NPMRC          npm's settings for the build (a registry, a certificate); they do not get into the image
#   BUILD_OPTIONS  further options of `buildah build` or `docker build`, separated by spaces
#   ENGINE         docker or podman, where both are there
#   PORT           a free port, 18443 by default
set -euo pipefail
cd "$(dirname "$0")/../.."
# The clone brings a Node that runs TypeScript; the machine's own may be older.
export PATH="$PWD/node_modules/.bin:$PATH"

engine=${ENGINE:-$(command -v podman >/dev/null && echo podman || echo docker)}
port=${PORT:-18443}
image=localhost/soakp:test
name=soakp-test-$$
work=$(mktemp -d)
most_bytes=60000000
compose=()

say() { printf '%s\n' "$*"; }
fail() {
  say "FAILED: $*" >&2
  "$engine" logs "$name" 2>/dev/null | tail -n 20 >&2 || true
  exit 1
}
cleanup() {
  ((${#compose[@]} == 0)) || with_compose down -v >/dev/null 2>&1 || true
  [[ -z ${upstream:-} ]] || kill "$upstream" 2>/dev/null || true
  "$engine" rm -f "$name" >/dev/null 2>&1 || true
  "$engine" volume rm -f "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

# Waits up to 60 s until a command succeeds.
eventually() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "$what"
    sleep 0.2
  done
}

say "== build"
read -ra build_options <<<"${BUILD_OPTIONS:-}"
build_options+=(--build-arg "VERSION=$(node -p 'require("./package.json").version')" -t "$image")
[[ -z ${BASE_IMAGE:-} ]] || build_options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
[[ -z ${NPMRC:-} ]] || build_options+=(--secret "id=npmrc,src=$NPMRC")
if [[ $engine == podman ]]; then
  buildah build --format docker --layers "${build_options[@]}" .
else
  DOCKER_BUILDKIT=1 docker build "${build_options[@]}" .
fi

say "== size and contents"
"$engine" save "$image" -o "$work/image.tar"
bytes=$(gzip -c "$work/image.tar" | wc -c)
say "compressed: $((bytes / 1000000)).$(((bytes / 100000) % 10)) MB"
((bytes <= most_bytes)) || fail "the image is larger than $((most_bytes / 1000000)) MB"
"$engine" create --name "$name" "$image" >/dev/null
"$engine" export "$name" | tar -t >"$work/files"
"$engine" rm "$name" >/dev/null
! grep -E '(^|/)bin/(sh|bash|dash|busybox|env|npm|npx|corepack|apt|dpkg|curl|wget|perl|python3?)$' "$work/files" || fail 'the image has a shell or tools'
! grep -E '\.npmrc$|/tsconfig|\.ts$|^opt/soakp/(test|data)/|linux-(x64|arm64).*/bin/node$' "$work/files" || fail 'the image has what only its build needs'
! grep -E 'prebuilds/.*(darwin|win32|musl)' "$work/files" || fail 'the image has builds for other systems'
alone() { "$engine" run --rm --network none "$@"; }
alone --entrypoint node "$image" -e '' || fail 'Node does not run'
! alone --entrypoint /bin/sh "$image" -c '' 2>/dev/null || fail 'the image has a shell'
[[ $("$engine" inspect -f '{{.Config.User}}' "$image") == 65532:65532 ]] || fail 'the user is another'
"$engine" inspect "$image" | grep -q '"org.opencontainers.image.version": "[0-9]' || fail 'the labels are missing'

say "== without a secret it refuses"
! alone "$image" >"$work/refusal" 2>&1 || fail 'it started without a secret'
grep 'soakp: NODE_ENV=production needs SOAKP_SECRET' "$work/refusal" || fail "no clear line: $(cat "$work/refusal")"

say "== a practice upstream on this machine"
mkfifo "$work/upstream"
node test/image/upstream.ts >"$work/upstream" &
upstream=$!
read -r upstream_url upstream_key <"$work/upstream"

admin=soakp_admin_$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
mkdir "$work/secrets"
head -c 32 /dev/urandom >"$work/secrets/root_key"
printf '%s' "$admin" >"$work/secrets/soakp_admin_token"
chmod 444 "$work/secrets"/*

create() {
  "$engine" create --name "$name" --network host --health-interval=1s \
    --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 256m \
    -e SOAKP_HOST=127.0.0.1 -e SOAKP_PORT="$port" -e SOAKP_UPSTREAM="$upstream_url" \
    -e SOAKP_ROOT_KEY_FILE=/run/secrets/root_key \
    -v "$work/secrets/root_key:/run/secrets/root_key:ro" \
    -v "$work/secrets/soakp_admin_token:/run/secrets/soakp_admin_token:ro" \
    -v "$name:/var/lib/soakp" "$image" >/dev/null
}
start() {
  [[ -n $("$engine" ps -aq --filter "name=$name") ]] || create
  "$engine" start "$name" >/dev/null
  eventually 'the health check succeeds' is_healthy
}
is_healthy() {
  if [[ $engine == podman ]]; then
    podman healthcheck run "$name" >/dev/null 2>&1
  else
    [[ $(docker inspect -f '{{.State.Health.Status}}' "$name") == healthy ]]
  fi
}
call() {
  local path=$1
  shift
  curl -sS --max-time 30 --cacert "$work/local-authority.pem" "https://localhost:$port$path" "$@"
}
inside() { "$engine" exec "$name" node -e "$1"; }
stop() {
  local began=$SECONDS
  "$engine" stop -t 20 "$name" >/dev/null
  local code
  code=$("$engine" inspect -f '{{.State.ExitCode}}' "$name")
  say "stopped with exit code $code in about $((SECONDS - began)) s"
  [[ $code == 0 ]] || fail 'SIGTERM does not end it with exit code 0'
  ((SECONDS - began <= 5)) || fail 'it takes too long to stop'
}
remove() { "$engine" rm "$name" >/dev/null; }

say "== read-only, without capabilities, in 256 MB"
start
[[ $(inside 'console.log(process.getuid(), process.getgid())') == '65532 65532' ]] || fail 'it runs as another user'
inside 'try { fs.writeFileSync("/opt/x", ""); process.exit(1) } catch { process.exit(0) }' || fail 'its root can be written'
inside 'process.exit((fs.statSync("/var/lib/soakp").mode & 0o777) === 0o700 ? 0 : 1)' || fail 'others can read the data'
inside 'process.exit(/^CapBnd:\s0+$/m.test(fs.readFileSync("/proc/1/status", "utf8")) ? 0 : 1)' || fail 'it has capabilities'
[[ $("$engine" exec "$name" soakp --version) =~ ^[0-9] ]] || fail 'the soakp command does not run inside'

say "== a key goes in, a completion comes out"
"$engine" cp "$name:/var/lib/soakp/local-authority.pem" "$work/local-authority.pem" >/dev/null
call /soakp/keys -H "Authorization: Bearer $admin" -H 'Content-Type: application/json' -d "{\"key\":\"$upstream_key\"}" >"$work/saved"
token=$(node -p 'JSON.parse(fs.readFileSync(0, "utf8")).token.token' <"$work/saved") || fail "not saved: $(cat "$work/saved")"
complete() {
  call /v1/chat/completions -N -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
    -d '{"model":"practice-fast","stream":true,"messages":[{"role":"user","content":"hello container"}]}' >"$work/stream"
  grep -q '^data: \[DONE\]' "$work/stream" || fail "no stream: $(head -c 500 "$work/stream")"
}
complete
printf '%s' "$upstream_key" | "$engine" exec -i "$name" soakp keys add --name second --json >/dev/null || fail 'no key by the command'
! "$engine" logs "$name" 2>&1 | grep -F -e "$upstream_key" -e "$admin" -e "$token" || fail 'the log holds a secret'
stop
remove

say "== a new container on the same volume"
start
complete
call /soakp/keys -H "Authorization: Bearer $admin" | grep -q '"second"' || fail 'the second key is gone'
stop

say "== a backup is put into a new volume"
"$engine" cp "$name:/var/lib/soakp/." - >"$work/backup.tar"
remove
"$engine" volume rm "$name" >/dev/null
create
"$engine" cp -a - "$name:/var/lib/soakp" <"$work/backup.tar"
start
complete
stop
remove

say "== a file system without sockets: the health check asks by the port"
start
health() { "$engine" exec "$@" "$name" node /opt/soakp/bin/health.js; }
inside 'fs.rmSync("/var/lib/soakp/soakp.sock")'
health || fail 'the health check does not find the port'
! health -e SOAKP_PORT=1 2>/dev/null || fail 'the health check succeeds where nobody answers'
stop

say "== the compose file, with its secrets as files"
remove
compose=()
if [[ $engine == docker ]] && docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif [[ $engine == podman ]] && command -v podman-compose >/dev/null; then
  compose=(podman-compose)
fi
with_compose() { (cd "$work/deploy" && "${compose[@]}" -p "$name" -f compose.yaml "$@"); }
composed() { curl -sk --max-time 5 "https://localhost:$port/soakp/keys" -H "Authorization: Bearer $admin" | grep -q '"object":"list"'; }
if ((${#compose[@]} == 0)); then
  say 'left out: there is neither docker compose nor podman-compose here'
else
  mkdir -p "$work/deploy/secrets"
  head -c 32 /dev/urandom >"$work/deploy/secrets/root_key"
  printf '%s' "$admin" >"$work/deploy/secrets/soakp_admin_token"
  chmod 444 "$work/deploy/secrets/"*
  # The image that was just built, the test's port, and limits that an engine may set even where it may raise none.
  sed -e "s#image: soakp\$#image: $image#" -e '/^ *build:$/,+1d' -e "s#127.0.0.1:3033:3033#127.0.0.1:$port:3033#" \
    -e 's/^\( *\)core: 0$/&\n\1nofile: 4096\n\1nproc: 4096/' deploy/compose.yaml >"$work/deploy/compose.yaml"
  with_compose up -d >"$work/compose.log" 2>&1 || fail "compose: $(tail -n 5 "$work/compose.log")"
  eventually 'the composed SOAKP takes the admin credential of its secret' composed
  with_compose down -v >/dev/null 2>&1
  say 'it serves, and takes the admin credential from its secret'
fi

say "PASSED with $engine: $((bytes / 1000000)).$(((bytes / 100000) % 10)) MB compressed"
