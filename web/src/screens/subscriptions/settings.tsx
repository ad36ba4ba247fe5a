// Changes a subscription. Only what differs is sent.
import { useState } from 'preact/hooks'
import { asProblem, patch, type Problem } from '../../api/client'
import { may } from '../../api/session'
import { FormFailure } from '../../ui/field'
import { Fields, Json } from '../../ui/json'
import { toast } from '../../ui/toast'
import { Fact } from '../deliveries/view'
import { changes, draftOf, isUnsaved, typedSince } from './draft'
import { FIELDS, SubscriptionForm } from './form'
import { forgetName } from './name'
import type { ViewProps } from './page'
import type { Subscription } from './state'

export function Settings(props: ViewProps) {
  return may.value.manage ? <Edit {...props} /> : <ReadOnly one={props.one} />
}

function Edit({ one, changed, edits, edit }: ViewProps) {
  const [before, setBefore] = useState(() => edits?.before ?? draftOf(one))
  const draft = { ...before, ...edits?.fields }
  const [round, setRound] = useState(0)
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const nothing = !isUnsaved(edits)
  const save = async () => {
    const made = changes(before, draft)
    if ('problem' in made) return setProblem(made.problem)
    const sent = edits?.fields ?? {}
    setBusy(true)
    setProblem(null)
    try {
      const saved = draftOf(await patch('/subscriptions/{subscription_id}', { at: { subscription_id: one.id }, body: made.body }))
      forgetName(one.id)
      setBefore(saved)
      edit((now) => typedSince(sent, now, saved))
      toast('Saved')
      changed()
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  const undo = () => {
    setBefore(draftOf(one))
    edit(() => null)
    setProblem(null)
    setRound(round + 1)
  }
  return (
    <SubscriptionForm key={round} stored={before} draft={draft} change={(part) => edit((was) => ({ before: was?.before ?? before, fields: { ...was?.fields, ...part } }))} problem={problem} submit={() => void save()}>
      <FormFailure problem={problem} fields={FIELDS} />
      <footer class="form-foot">
        <button type="button" class="button" disabled={busy || nothing} onClick={undo}>
          Undo
        </button>
        <button type="submit" class="button primary" disabled={busy || nothing}>
          Save
        </button>
      </footer>
    </SubscriptionForm>
  )
}

/** For who may look only. */
function ReadOnly({ one }: { one: Subscription }) {
  const given = (value: string | number | null | undefined, unit = '') => (value === null || value === undefined ? <span class="faint">as the instance does</span> : `${value}${unit}`)
  return (
    <>
      <dl class="facts">
        <Fact name="External id">{one.external_id ?? <span class="faint">none</span>}</Fact>
        <Fact name="Time limit">{given(one.request_timeout_ms, ' ms')}</Fact>
        <Fact name="Retries">{given(one.retry_schedule)}</Fact>
        <Fact name="Requests a second">{one.rate_limit ?? <span class="faint">no limit</span>}</Fact>
        <Fact name="Requests at a time">{given(one.max_in_flight)}</Fact>
        <Fact name="Order">{one.ordered ? 'kept, by ordering key' : <span class="faint">not kept</span>}</Fact>
        <Fact name="Authorization">{one.auth?.type ?? <span class="faint">none</span>}</Fact>
      </dl>
      {one.filter && <Json label="Filter" text={JSON.stringify(one.filter)} />}
      {Object.keys(one.headers).length > 0 && <Fields label="Headers" fields={one.headers} />}
      {Object.keys(one.metadata).length > 0 && <Fields label="Metadata" fields={one.metadata} />}
    </>
  )
}
