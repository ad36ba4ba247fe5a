// Publishes an event, as a producer would.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { useResource } from '../../api/resource'
import { chosen, isAll, may } from '../../api/session'
import { go, href } from '../../route'
import { TenantChoice } from '../../shell/tenants'
import { Field } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { jsonFault } from '../../ui/json_fault'
import { Once } from '../../ui/once'
import { Empty, Failure } from '../../ui/states'
import { toast } from '../../ui/toast'
import { loadCatalogue } from '../subscriptions/catalogue'
import { fieldProblem } from '../subscriptions/draft'

export function PublishPage() {
  if (isAll.value) return <ChooseTenant what="An event belongs to one tenant." />
  return (
    <div class="sheet">
      {may.value.read && (
        <a class="back" href={href('/events')}>
          <Icon name="left" /> Events
        </a>
      )}
      <h1>Publish an event</h1>
      <Form />
    </div>
  )
}

/** What breaks the schema is in the payload. */
const atFields = (problem: Problem): Problem =>
  problem.code === 'schema_mismatch' ? { ...problem, errors: (problem.errors ?? []).map((error) => ({ ...error, pointer: `/body${error.pointer}` })) } : problem

function Form() {
  // Nothing is filled in: what is published is really delivered.
  const [type, setType] = useState('')
  const [payload, setPayload] = useState('')
  const [key, setKey] = useState('')
  const [published, setPublished] = useState<string | null>(null)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  // A key that may only publish sees no catalogue.
  const catalogue = useResource(`${chosen.value}`, (signal) => (may.value.read ? loadCatalogue(signal) : Promise.resolve([])))
  const known = catalogue.data?.find((one) => one.name === type)
  const example = known?.example ? JSON.stringify(known.example, null, 2) : null
  const publish = async (event: Event) => {
    event.preventDefault()
    const fault = jsonFault(payload)
    if (fault) return setProblem(fieldProblem('/body', fault))
    setBusy(true)
    setProblem(null)
    setPublished(null)
    try {
      const headers = { ...(type ? { 'x-event-type': type } : {}), ...(key ? { 'idempotency-key': key } : {}) }
      const answer = await post('/events', { body: payload, headers })
      toast(answer.duplicate ? 'This key was used before: here is its event' : 'Published')
      if (may.value.read) return go(href(`/events/${answer.webhook_id}`))
      setPublished(answer.webhook_id)
    } catch (error) {
      setProblem(atFields(asProblem(error)))
    }
    setBusy(false)
  }
  return (
    <form class="form" onSubmit={(event) => void publish(event)}>
      <Field label="Event type" pointer="/headers/x-event-type" problem={problem} hint={known?.description ?? 'Sent to every subscription that wants this type; without one, to those that want all.'}>
        {(id, described) => (
          <>
            <input id={id} aria-describedby={described} class="mono" list={`${id}-types`} autocomplete="off" placeholder="As in order.created" value={type} spellcheck={false} onInput={(event) => setType(event.currentTarget.value)} />
            <datalist id={`${id}-types`}>
              {catalogue.data?.map(({ name, deprecated }) => !deprecated && <option key={name} value={name} />)}
            </datalist>
          </>
        )}
      </Field>
      <Field label="Payload" pointer="/body" problem={problem} hint={<Hint example={example === payload ? null : example} type={type} take={setPayload} />}>
        {(id, described) => (
          <textarea id={id} aria-describedby={described} class="mono" required rows={12} spellcheck={false} value={payload} onInput={(event) => setPayload(event.currentTarget.value)} />
        )}
      </Field>
      <Field label="Idempotency key" pointer="/headers/idempotency-key" problem={problem} hint="Optional. A second request with the same key publishes nothing.">
        {(id, described) => <input id={id} aria-describedby={described} class="mono" value={key} spellcheck={false} onInput={(event) => setKey(event.currentTarget.value)} />}
      </Field>
      {problem && problem.code !== 'invalid' && <Failure problem={problem} />}
      {published && <Published id={published} />}
      <footer class="form-foot">
        <button type="submit" class="button primary" disabled={busy}>
          <Icon name="send" /> Publish
        </button>
      </footer>
    </form>
  )
}

/** A key that may only publish opens no page of the event: its id is all that it gets. */
function Published({ id }: { id: string }) {
  return (
    <div class="why green" role="status">
      <Icon name="check" />
      <div class="secret-box">
        <strong>Published. This key does not show events: keep the id to find this one.</strong>
        <Once label="Event id" text={id} />
      </div>
    </div>
  )
}

function Hint({ example, type, take }: { example: string | null; type: string; take: (example: string) => void }) {
  return (
    <>
      JSON. Receivers get these bytes.{' '}
      {example && (
        <button type="button" class="text-button" onClick={() => take(example)}>
          Use the example of {type}
        </button>
      )}
    </>
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
