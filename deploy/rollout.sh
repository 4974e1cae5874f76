#!/usr/bin/env bash
# Replaces the containers of roles by those of another release, one role after the other and without a pause: as many
# new ones are started beside the old, and when all of them are healthy the old ones drain and go.
#   OPORA_TAG=0.2.0 deploy/rollout.sh intake-serve intake-consume …
# docker compose's own variables (COMPOSE_FILE, COMPOSE_PROJECT_NAME, COMPOSE_ENV_FILES) are honoured.
set -euo pipefail

DRAIN_SECONDS=40

[ $# -gt 0 ] || { echo "name the roles: deploy/rollout.sh intake-serve …" >&2; exit 2; }
for role in "$@"; do
    old=$(docker compose ps --quiet "$role")
    count=$(wc --words <<<"$old")
    [ "$count" -gt 0 ] || { echo "$role does not run" >&2; exit 1; }
    echo "$role: starting $count beside the old"
    docker compose up --detach --wait --no-deps --no-build --no-recreate --scale "$role=$((2 * count))" "$role"
    echo "$role: draining the old"
    # shellcheck disable=SC2086 # a container's id is a word
    docker stop --timeout "$DRAIN_SECONDS" $old >/dev/null && docker rm $old >/dev/null
done
