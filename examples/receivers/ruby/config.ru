# frozen_string_literal: true

# A receiver: verifies each delivery, drops what it has seen, answers before it works.
# A Rack application:
# gem install puma && gem install standardwebhooks -v 1.1.0
# WEBHOOK_SECRET=whsec_… puma -b tcp://127.0.0.1:9100

require "standardwebhooks"

$stdout.sync = true
MAX_BODY = 1 << 20
WEBHOOK = StandardWebhooks::Webhook.new(ENV.fetch("WEBHOOK_SECRET"))
# In production both are one table of your database with a unique webhook_id: insert the
# event there, answer, and let a worker read the table. Memory forgets at a restart.
SEEN = {}
INBOX = Queue.new
LOCK = Mutex.new

Thread.new do
  loop do
    id, type, event = INBOX.pop
    puts "accepted #{id} #{type} #{event}"
  end
end

receive = lambda do |env|
  body = env["rack.input"].read(MAX_BODY + 1).to_s # the bytes as they came: never parse and dump them first
  return [413, {}, []] if body.bytesize > MAX_BODY

  headers = %w[webhook-id webhook-timestamp webhook-signature].to_h do |name|
    [name, env["HTTP_#{name.upcase.tr("-", "_")}"]]
  end
  id = headers["webhook-id"]
  begin
    event = WEBHOOK.verify(body.force_encoding(Encoding::UTF_8), headers)
  rescue StandardWebhooks::WebhookVerificationError => e
    puts "refused #{id}: #{e.message}"
    return [401, {}, []]
  end
  is_new = LOCK.synchronize { !SEEN.key?(id) && SEEN[id] = true }
  if is_new
    INBOX << [id, env["HTTP_X_EVENT_TYPE"], event]
  else
    puts "duplicate #{id}"
  end
  [204, {}, []]
end

run receive
