#!/usr/bin/env python3
"""Pays an order and publishes that in one transaction. Usage: DATABASE_URL=postgres://… order.py ORDER"""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb


def pay(connection, order):
    # Both are committed, or neither is.
    with connection.transaction():
        connection.execute("update orders set paid_at = now() where id = %s", [order])
        published = connection.execute(
            "select postrider.publish('order.paid', %s, idempotency_key => %s)",
            [Jsonb({"order": order}), f"order-{order}-paid"],
        )
        return published.fetchone()[0]


with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    print(pay(connection, int(sys.argv[1])))
