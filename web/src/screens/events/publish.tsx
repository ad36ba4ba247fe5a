// Publishes an event, as a producer would.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { isAll } from '../../api/session'
import { go, href } from '../../route'
import { TenantChoice } from '../../shell/tenants'
import { Field } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { Empty, Failure } from '../../ui/states'
import { toast } from '../../ui/toast'

const EXAMPLE = '{\n  "id": 4711,\n  "total": 25\n}'

export function PublishPage() {
  const [type, setType] = useState('order.created')
  const [payload, setPayload] = useState(EXAMPLE)
  const [key, setKey] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  if (isAll.value) return <ChooseTenant what="An event belongs to one tenant." />
  const publish = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      const headers = { ...(type ? { 'x-event-type': type } : {}), ...(key ? { 'idempotency-key': key } : {}) }
      const answer = await post('/events', { body: payload, headers })
      toast(answer.duplicate ? 'This key was used before: here is its event' : 'Published')
      go(href(`/events/${answer.webhook_id}`))
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <div class="sheet">
      <a class="back" href={href('/events')}>
        <Icon name="left" /> Events
      </a>
      <h1>Publish an event</h1>
      <form class="form" onSubmit={(event) => void publish(event)}>
        <Field label="Event type" pointer="/header/X-Event-Type" problem={problem} hint="Sent to every subscription that wants this type.">
          {(id, described) => <input id={id} aria-describedby={described} class="mono" value={type} spellcheck={false} onInput={(event) => setType(event.currentTarget.value)} />}
        </Field>
        <Field label="Payload" pointer="/body" problem={problem} hint="JSON. Receivers get these bytes.">
          {(id, described) => (
            <textarea id={id} aria-describedby={described} class="mono" rows={12} spellcheck={false} value={payload} onInput={(event) => setPayload(event.currentTarget.value)} />
          )}
        </Field>
        <Field label="Idempotency key" pointer="/header/Idempotency-Key" problem={problem} hint="Optional. A second request with the same key publishes nothing.">
          {(id, described) => <input id={id} aria-describedby={described} class="mono" value={key} spellcheck={false} onInput={(event) => setKey(event.currentTarget.value)} />}
        </Field>
        {problem && <Failure problem={problem} />}
        <footer class="form-foot">
          <button type="submit" class="button primary" disabled={busy}>
            <Icon name="send" /> Publish
          </button>
        </footer>
      </form>
    </div>
  )
}

/** Where a view is of one tenant and all of them are chosen. */
export function ChooseTenant({ what }: { what: string }) {
  return (
    <Empty icon="tenants" title="Choose a tenant" isPage>
      <p>{what}</p>
      <TenantChoice />
    </Empty>
  )
}
