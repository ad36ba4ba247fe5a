"""Uses a client that openapi-python-client made from the document: creates, publishes, lists, deletes, reads problems."""

import os
from http import HTTPStatus

from postrider_client import AuthenticatedClient, Client
from postrider_client.api.events import publish, publish_batch
from postrider_client.api.ingest import ingest
from postrider_client.api.logs import list_logs
from postrider_client.api.status import read_status
from postrider_client.api.subscriptions import (
    create_subscription,
    delete_subscription,
    list_subscriptions,
    read_subscription,
)
from postrider_client.models import (
    BatchForm,
    IngestAnswer,
    Problem,
    ProblemCode,
    Subscription,
    SubscriptionForm,
)

URL, KEY = os.environ["POSTRIDER_URL"], os.environ["POSTRIDER_KEY"]
client = AuthenticatedClient(base_url=URL, token=KEY, raise_on_unexpected_status=True)


def expect_problem(answer, status, code):
    assert answer.status_code == status, answer
    assert isinstance(answer.parsed, Problem) and answer.parsed.code == code, answer.parsed
    assert answer.parsed.request_id == answer.headers["x-request-id"], answer
    return answer.parsed


def subscribe(external_id):
    form = SubscriptionForm.from_dict(
        {
            "target_url": "https://hooks.example.com/in",
            "external_id": external_id,
            "event_types": ["order.created", "invoice.*"],
            "auth": {"type": "bearer", "token": "secret-of-the-receiver"},
            "metadata": {"team": "billing"},
            "rate_limit": 50,
        }
    )
    created = create_subscription.sync_detailed(client=client, body=form)
    assert created.status_code == HTTPStatus.CREATED, created
    assert isinstance(created.parsed, Subscription), created
    assert created.parsed.secret_key.startswith("whsec_"), created.parsed
    assert created.parsed.auth.type_ == "bearer" and created.parsed.retry_schedule is None, created.parsed
    # The smallest form: every field that may be null comes back null.
    plain = SubscriptionForm(target_url="https://hooks.example.com/plain")
    bare = create_subscription.sync(client=client, body=plain)
    assert isinstance(bare, Subscription) and bare.auth is None and bare.health.failing_since is None, bare
    delete_subscription.sync(bare.id, client=client)
    return created.parsed


def send(subscription):
    payload = {"order": 7, "lines": [{"sku": "A1", "nested": {"deep": None}}]}
    ingested = ingest.sync(
        subscription.external_id, client=client, body=payload, x_event_type="order.created", idempotency_key="py:order-7"
    )
    assert isinstance(ingested, IngestAnswer) and ingested.duplicate is False, ingested
    published = publish.sync(
        client=client, body=[{"invoice": 12}, "a list"], x_event_type="invoice.due", subscription_id=str(subscription.id)
    )
    assert published.matched == 1, published
    events = {
        "events": [{"event_type": "order.created", "payload": {"order": 8}}, {"event_type": "a b", "payload": {}}]
    }
    batch = publish_batch.sync(client=client, body=BatchForm.from_dict(events))
    assert batch.data[0].status == 202, batch
    assert batch.data[1].problem.code == ProblemCode.VALIDATION_FAILED, batch
    status = read_status.sync(ingested.webhook_id, client=client)
    assert status.deliveries[0].subscription_id == subscription.id, status
    assert status.deliveries[0].status in ("pending", "sending", "held", "failed"), status


def listed(subscription):
    seen, cursor = [], {}
    while True:
        page = list_subscriptions.sync(client=client, limit=1, **cursor)
        seen += [row.id for row in page.data]
        if page.next_cursor is None:
            break
        cursor = {"cursor": page.next_cursor}
    assert subscription.id in seen and len(seen) == len(set(seen)), seen
    logs = list_logs.sync(str(subscription.id), client=client)
    assert isinstance(logs.data, list), logs


def problems(subscription):
    invalid = create_subscription.sync_detailed(
        client=client, body=SubscriptionForm(target_url="ftp://hooks.example.com")
    )
    problem = expect_problem(invalid, 422, ProblemCode.VALIDATION_FAILED)
    assert problem.errors[0].pointer == "/target_url", problem
    unwanted = ingest.sync_detailed(str(subscription.id), client=client, body=[], x_event_type="user.created")
    expect_problem(unwanted, 422, ProblemCode.EVENT_TYPE_NOT_WANTED)
    again = SubscriptionForm(target_url="https://hooks.example.com", external_id=subscription.external_id)
    taken = create_subscription.sync_detailed(client=client, body=again)
    expect_problem(taken, 409, ProblemCode.EXTERNAL_ID_TAKEN)
    stranger = Client(base_url=URL, raise_on_unexpected_status=True)
    expect_problem(list_subscriptions.sync_detailed(client=stranger), 401, ProblemCode.UNAUTHENTICATED)


def delete(subscription):
    deleted = delete_subscription.sync(subscription.external_id, client=client)
    assert deleted.id == subscription.id, deleted
    gone = read_subscription.sync_detailed(subscription.external_id, client=client)
    expect_problem(gone, 404, ProblemCode.SUBSCRIPTION_NOT_FOUND)


subscriptions = [subscribe("py:orders"), subscribe("py:invoices")]
send(subscriptions[0])
listed(subscriptions[0])
problems(subscriptions[0])
for each in subscriptions:
    delete(each)
print("clients: openapi-python-client created, published, listed, deleted and read problems")
