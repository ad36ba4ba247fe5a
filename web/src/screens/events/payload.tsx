// The bytes of an event, as they were published.
import { send } from '../../api/client'
import { useResource } from '../../api/resource'
import { may } from '../../api/session'
import { Json } from '../../ui/json'
import { Bones, Empty, Failure } from '../../ui/states'

interface PayloadText {
  text: string
  type: string
}

export async function readPayload(webhook: string, tenant?: string, signal?: AbortSignal): Promise<PayloadText> {
  const response = await send('get', '/events/{webhook_id}/payload', { at: { webhook_id: webhook }, tenant, signal })
  return { text: await response.text(), type: response.headers.get('content-type') ?? '' }
}

export function Payload({ webhook, tenant }: { webhook: string; tenant?: string | undefined }) {
  if (!may.value.readPayloads) return <Empty icon="info" title="This key does not show payloads" />
  return <Loaded {...{ webhook, tenant }} />
}

function Loaded({ webhook, tenant }: { webhook: string; tenant?: string | undefined }) {
  const payload = useResource(`${webhook}/${tenant}`, (signal) => readPayload(webhook, tenant, signal))
  if (payload.problem) return <Failure problem={payload.problem} retry={payload.reload} />
  if (!payload.data) return <Bones lines={6} />
  return <Json label={`Payload · ${payload.data.type.split(';')[0]}`} text={payload.data.text} />
}
