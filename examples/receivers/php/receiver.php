<?php

// A receiver: verifies each delivery, drops what it has seen, answers before it works.
// composer require standard-webhooks/standard-webhooks
// WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:9100 receiver.php

declare(strict_types=1);

require __DIR__ . '/vendor/autoload.php';

use StandardWebhooks\Exception\WebhookVerificationException;
use StandardWebhooks\Webhook;

const MAX_BODY = 1 << 20;

$webhook = new Webhook(getenv('WEBHOOK_SECRET'));
// The bytes as they came: never decode and encode them first.
$body = file_get_contents('php://input', false, null, 0, MAX_BODY + 1);
if (strlen($body) > MAX_BODY) {
    http_response_code(413);
    exit;
}
$headers = [
    'webhook-id' => $_SERVER['HTTP_WEBHOOK_ID'] ?? null,
    'webhook-timestamp' => $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? null,
    'webhook-signature' => $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? null,
];
$id = $headers['webhook-id'];
try {
    $webhook->verify($body, $headers);
} catch (WebhookVerificationException $error) {
    error_log("refused $id: {$error->getMessage()}");
    http_response_code(401);
    exit;
}

// In production this is a table of your database with a unique webhook_id: insert the event
// there, answer, and let a worker read the table. Here a folder does the same: the name of a
// verified event is its id, and opening with x fails where the file exists.
$inbox = getenv('INBOX') ?: sys_get_temp_dir();
$file = @fopen("$inbox/webhook-$id.json", 'x');
if ($file !== false) {
    fwrite($file, $body);
    fclose($file);
    error_log("accepted $id " . ($_SERVER['HTTP_X_EVENT_TYPE'] ?? '') . " $body");
} else {
    error_log("duplicate $id");
}
http_response_code(204);
