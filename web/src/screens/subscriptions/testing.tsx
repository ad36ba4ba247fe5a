// Sends an event to this subscription alone, and shows what happened.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { chosen } from '../../api/session'
import { Field, FormFailure } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { milliseconds, Moment } from '../../ui/moment'
import { Empty } from '../../ui/states'
import { Code, Pill } from '../../ui/status'
import { OUTCOMES } from '../../words'
import { FullAttempt } from '../deliveries/attempts'
import { covers, type Known, loadCatalogue } from './catalogue'
import { parseObject } from './draft'
import type { PartProps } from './page'

interface Sent {
  attempt: Schemas['Attempt']
  /** What was written; null if the server made it. */
  payload: string | null
}

const KEPT = 10

export function Testing({ one }: PartProps) {
  const [sent, setSent] = useState<Sent[]>([])
  const [at, setAt] = useState(0)
  const shown = sent[at]
  const add = (one: Sent) => {
    setSent((was) => [one, ...was].slice(0, KEPT))
    setAt(0)
  }
  return (
    <div class="testing">
      <SendForm one={one} add={add} />
      <section class="tested" aria-live="polite">
        {!shown && (
          <Empty icon="send" title="Nothing sent yet">
            <p>The whole attempt is shown here: result, timing, both heads and what came back.</p>
          </Empty>
        )}
        {sent.length > 1 && (
          <div class="segments" role="group" aria-label="Sent before">
            {sent.map((one, index) => (
              <button key={one.attempt.id} type="button" aria-pressed={index === at} onClick={() => setAt(index)}>
                #{sent.length - index} {one.attempt.status_code ?? OUTCOMES[one.attempt.outcome].label}
              </button>
            ))}
          </div>
        )}
        {shown && <Shown key={shown.attempt.id} sent={shown} />}
      </section>
    </div>
  )
}

function Shown({ sent: { attempt, payload } }: { sent: Sent }) {
  const { label, advice } = OUTCOMES[attempt.outcome]
  return (
    <article class="test-result">
      <header class="sheet-head">
        <Pill tone={attempt.is_success ? 'green' : 'red'}>{label}</Pill>
        <Code code={attempt.status_code} />
        <span class="mono">{attempt.event_type ?? 'no type'}</span>
        <span class="grow" />
        <span class="faint">{milliseconds(attempt.duration_ms)}</span>
        <Moment at={attempt.created_at} />
      </header>
      {advice && <p>{advice}</p>}
      <FullAttempt full={attempt} payload={() => Promise.resolve(payload)} />
    </article>
  )
}

function SendForm({ one, add }: { one: PartProps['one']; add: (sent: Sent) => void }) {
  const catalogue = useResource(`catalogue/${chosen.value}`, loadCatalogue)
  const wanted = (catalogue.data ?? []).filter(({ name }) => !one.event_types.length || covers(one.event_types, name))
  const [type, setType] = useState('')
  const [payload, setPayload] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const choose = (name: string) => {
    // The example of a type stands in until something else is written.
    const example = exampleOf(wanted, name)
    if (example && (!payload.trim() || wanted.some((known) => known.example && exampleOf(wanted, known.name) === payload))) setPayload(example)
    setType(name)
  }
  const send = async (event: Event) => {
    event.preventDefault()
    const parsed = parseObject(payload, '/payload')
    if ('problem' in parsed) return setProblem(parsed.problem)
    setBusy(true)
    setProblem(null)
    try {
      // The payload goes as it was written: its bytes are what is signed.
      const fields = [...(type.trim() ? [`"event_type": ${JSON.stringify(type.trim())}`] : []), ...(payload.trim() ? [`"payload": ${payload.trim()}`] : [])]
      const attempt = await post('/subscriptions/{subscription_id}/test', { at: { subscription_id: one.id }, body: `{${fields.join(', ')}}` })
      add({ attempt, payload: payload.trim() || null })
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  return (
    <form class="form" onSubmit={(event) => void send(event)}>
      <p class="faint">Goes to this subscription alone, even while it is paused. It counts in no numbers and is not retried.</p>
      <Field label="Event type" pointer="/event_type" problem={problem} hint="Empty: one that it wants.">
        {(id, described) => (
          <>
            <input id={id} aria-describedby={described} class="mono" list={`${id}-types`} autocomplete="off" spellcheck={false} value={type} onInput={(event) => choose(event.currentTarget.value)} />
            <datalist id={`${id}-types`}>
              {wanted.map(({ name }) => (
                <option key={name} value={name} />
              ))}
            </datalist>
          </>
        )}
      </Field>
      <Field label="Payload" pointer="/payload" problem={problem} hint="A JSON object. Empty: a small one is made.">
        {(id, described) => (
          <textarea id={id} aria-describedby={described} class="mono" rows={10} spellcheck={false} value={payload} onInput={(event) => setPayload(event.currentTarget.value)} />
        )}
      </Field>
      <FormFailure problem={problem} fields={['/event_type', '/payload']} done="sent" />
      <footer class="form-foot">
        <button type="submit" class="button primary" disabled={busy}>
          <Icon name="send" /> {busy ? 'Sending…' : 'Send'}
        </button>
      </footer>
    </form>
  )
}

function exampleOf(known: Known[], name: string): string | null {
  const example = known.find((one) => one.name === name)?.example
  return example ? JSON.stringify(example, null, 2) : null
}
