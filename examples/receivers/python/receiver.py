"""A receiver: verifies each delivery, drops what it has seen, answers before it works.

pip install -r requirements.txt && WEBHOOK_SECRET=whsec_… python receiver.py
"""

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 1 << 20
webhook = Webhook(os.environ["WEBHOOK_SECRET"])
# In production both are one table of your database with a unique webhook_id: insert the
# event there, answer, and let a worker read the table. Memory forgets at a restart.
seen: set[str] = set()
inbox: queue.Queue = queue.Queue()
lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)  # the bytes as they came: never parse and dump them first
        event_id = self.headers.get("webhook-id")
        try:
            event = webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError) as error:  # ValueError: a header of no known form
            print(f"refused {event_id}: {error}", flush=True)
            return self.answer(401)
        with lock:
            is_new = event_id not in seen
            seen.add(event_id)
        if is_new:
            inbox.put((event_id, self.headers.get("x-event-type"), event))
        else:
            print(f"duplicate {event_id}", flush=True)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def work():
    while True:
        event_id, event_type, event = inbox.get()
        print(f"accepted {event_id} {event_type} {event}", flush=True)


threading.Thread(target=work, daemon=True).start()
port = int(os.environ.get("PORT", "9100"))
print(f"listening on {port}", flush=True)
ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
