#!/usr/bin/env python3
"""Publishes one event. Usage: POSTRIDER_KEY=prk_… publish.py EVENT-TYPE JSON IDEMPOTENCY-KEY"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

API = os.environ.get("POSTRIDER_API", "http://localhost:8000")
KEY = os.environ.get("POSTRIDER_KEY", "none")
TRIES = 6


def publish(event_type, payload, idempotency_key):
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "X-Event-Type": event_type,
        "Idempotency-Key": idempotency_key,
    }
    for attempt in range(TRIES):
        request = urllib.request.Request(f"{API}/events", payload.encode(), headers)
        wait = 0.2 * 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            # Below 500 the request is wrong, except 429: too many events in this second.
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{error.code}: {error.read().decode()}")
            wait = max(wait, float(error.headers.get("Retry-After", 0)))
        except OSError:
            pass  # No response. The key makes it safe to repeat.
        time.sleep(wait)
    raise SystemExit("postrider does not accept events; keep this one and publish it later with the same key")


print(json.dumps(publish(*sys.argv[1:4])))
