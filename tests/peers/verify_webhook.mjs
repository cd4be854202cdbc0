// Verifies one webhook message with the npm package `standardwebhooks`, which we did not write. The package must
// be installed in this folder or above it: Node looks for modules from the script's own place.
//
// Reads {"secret", "id", "timestamp", "signature", "body"} as JSON from stdin; `body` is the text as received.
// Exit 0: verified. Exit 1: refused. Exit 2: this script itself failed, which must not pass for a refusal.
import { readFileSync } from "node:fs";

async function verify() {
  const { Webhook, WebhookVerificationError } = await import("standardwebhooks");
  const { secret, id, timestamp, signature, body } = JSON.parse(readFileSync(0, "utf8"));
  if ([secret, id, timestamp, signature, body].includes(undefined)) throw new Error("a field is missing");
  const headers = { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
  try {
    new Webhook(secret).verify(body, headers);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.error(`refused: ${error.message}`);
    return 1;
  }
  return 0;
}

process.exitCode = await verify().catch((error) => {
  console.error(`failed: ${error}`);
  return 2;
});
