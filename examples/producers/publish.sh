#!/usr/bin/env bash
# Publishes one event with curl. Usage: POSTRIDER_KEY=prk_… publish.sh EVENT-TYPE JSON IDEMPOTENCY-KEY
set -euo pipefail

curl -sS --fail-with-body --max-time 10 --retry 5 --retry-connrefused "${POSTRIDER_API:-http://localhost:8000}/events" \
    -H "Authorization: Bearer ${POSTRIDER_KEY:-none}" -H 'Content-Type: application/json' \
    -H "X-Event-Type: $1" -H "Idempotency-Key: $3" -d "$2"
