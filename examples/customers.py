#!/usr/bin/env python3
"""Webhooks for the customers of a service: a tenant for each customer, one operator key.

Usage: POSTRIDER_KEY=prk_… customers.py TARGET_URL   (POSTRIDER_API, default http://localhost:8000)
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

API = os.environ.get("POSTRIDER_API", "http://localhost:8000")
KEY = os.environ["POSTRIDER_KEY"]


def call(method, path, body=None, customer=None, headers={}):
    """Makes one request, and repeats it while postrider says when to come back."""
    headers = {**headers, "Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    if customer:
        headers["Postrider-Tenant"] = customer
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, headers, method=method)
    for _ in range(5):
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            if error.code not in (429, 503):
                raise RuntimeError(f"{problem['code']}: {problem['detail']}") from None
            time.sleep(int(error.headers.get("Retry-After", 1)))
    raise RuntimeError(f"{problem['code']}: {problem['detail']}")


def sign_up(customer, name):
    """Creates the tenant. Safe to repeat: PUT replaces what is there."""
    limits = {"max_subscriptions": 10, "publish_per_second": 100}
    return call("PUT", f"/tenants/{customer}", {"name": name, "limits": limits})


def add_webhook(customer, target_url, event_types):
    """Returns the secret, which the customer needs to verify signatures. It is shown only once."""
    form = {"target_url": target_url, "event_types": event_types}
    return call("POST", "/subscriptions/", form, customer)["secret_key"]


def publish(customer, event_type, payload, key):
    """Safe to repeat: the same key is the same event."""
    return call("POST", "/events", payload, customer, {"X-Event-Type": event_type, "Idempotency-Key": key})


def leave(customer):
    """Ends the customer's subscriptions and revokes its keys."""
    return call("DELETE", f"/tenants/{customer}")


if __name__ == "__main__":
    sign_up("cust-42", "Alice Ltd")
    print("secret of Alice:", add_webhook("cust-42", sys.argv[1], ["invoice.*"]))
    accepted = publish("cust-42", "invoice.paid", {"invoice": 4711}, "invoice-4711-paid")
    print("matched:", accepted["matched"])
    print(call("GET", f"/status/{accepted['webhook_id']}", customer="cust-42")["status"])
    print(leave("cust-42")["message"])
