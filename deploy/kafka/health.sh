#!/bin/bash
# Container health: asks the broker for its API versions over its own protocol, as a client does. Starts no JVM.
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/9092
# ApiVersions (key 18) version 0, correlation id 1, no client id.
printf '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x01\xff\xff' >&3
# Size (4 bytes), correlation id (4), error code (2): 0 when the broker serves.
[ "$(timeout 4 head -c 10 <&3 | tail -c 6 | od -An -v -tx1 | tr -d ' \n')" = 000000010000 ]
