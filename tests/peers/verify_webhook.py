"""Verifies one webhook message with the PyPI package `standardwebhooks`, which we did not write.

Reads {"secret", "id", "timestamp", "signature", "body"} as JSON from stdin; `body` is the text as received.
Exit 0: verified. Exit 1: refused. Exit 2: this script itself failed, which must not pass for a refusal.
"""

import json
import sys


def verify() -> int:
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    message = json.load(sys.stdin)
    headers = {
        "webhook-id": message["id"],
        "webhook-timestamp": str(message["timestamp"]),
        "webhook-signature": message["signature"],
    }
    try:
        Webhook(message["secret"]).verify(message["body"].encode(), headers)
    except WebhookVerificationError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


try:
    sys.exit(verify())
except Exception as error:
    print(f"failed: {error!r}", file=sys.stderr)
    sys.exit(2)
