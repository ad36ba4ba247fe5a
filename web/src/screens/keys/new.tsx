// A new key, which is shown once.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { kept } from '../../api/kept'
import { chosen, isAll, isOperator } from '../../api/session'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field, FormFailure } from '../../ui/field'
import { Once } from '../../ui/once'
import { type Key, SCOPES } from './list'
import { TenantField } from './tenant_field'

const DAY_MS = 86_400_000
const LIVES: [days: string, label: string][] = [
  ['', 'Never'],
  ['30', 'In 30 days'],
  ['90', 'In 90 days'],
  ['365', 'In a year'],
  ['date', 'At a time…'],
]

const made = kept((_: Key) => 'key')

/** Whether a key was made that nobody has taken yet. */
export const isKeyShown = () => made.of('key') !== null

export function NewKey({ close, created }: { close: () => void; created: () => void }) {
  const [busy, setBusy] = useState(false)
  const key = made.of('key')
  const done = () => (made.forget('key'), close())
  return (
    <Dialog label="New key" close={close} locked={busy || key !== null}>
      <header class="dialog-head">
        <h2>{key ? 'Copy the key now' : 'New key'}</h2>
        {!key && !busy && <CloseButton close={close} />}
      </header>
      {key ? <Shown made={key} close={done} /> : <Form {...{ busy, setBusy, close, created }} />}
    </Dialog>
  )
}

function Shown({ made, close }: { made: Key; close: () => void }) {
  return (
    <>
      <p class="note amber">It is shown this once: postrider keeps only a hash.</p>
      <Once label="Key" text={made.key ?? ''} />
      <p class="faint">
        A program sends it as <code>Authorization: Bearer …</code>
        {made.tenant_id === null && ' and names a tenant in the header Postrider-Tenant'}.
      </p>
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={close}>
          Done
        </button>
      </footer>
    </>
  )
}

interface FormProps {
  /** A key is being made: it would be lost if the dialog closed now. */
  busy: boolean
  setBusy: (busy: boolean) => void
  close: () => void
  created: () => void
}

function Form({ busy, setBusy, close, created }: FormProps) {
  const [name, setName] = useState('')
  const [scope, setScope] = useState<Key['scope']>('publish')
  const [all, setAll] = useState(false)
  const [tenant, setTenant] = useState(isAll.value ? '' : (chosen.value ?? ''))
  const [life, setLife] = useState('')
  const [date, setDate] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const create = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    const expires_at = life === 'date' ? `${date}:00Z` : life ? new Date(Date.now() + Number(life) * DAY_MS).toISOString() : null
    const opens = isOperator.value ? { tenant: all ? null : tenant.trim() } : {}
    try {
      await made.keep(post('/keys', { body: { ...(name.trim() ? { name: name.trim() } : {}), scope, expires_at, ...opens } }))
      created()
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void create(event)}>
      <Field label="Name" pointer="/name" problem={problem} hint="Who or what uses it, so that it is known again.">
        {(id, described) => <input id={id} aria-describedby={described} value={name} maxLength={100} placeholder="shop, production" onInput={(event) => setName(event.currentTarget.value)} />}
      </Field>
      {isOperator.value && (
        <fieldset class="options">
          <legend>Opens</legend>
          <label class="option">
            <input type="radio" name="opens" checked={!all} onChange={() => setAll(false)} />
            <span>
              <b>One tenant</b>
            </span>
          </label>
          {!all && <TenantField value={tenant} set={setTenant} problem={problem} />}
          <label class="option">
            <input type="radio" name="opens" checked={all} onChange={() => setAll(true)} />
            <span>
              <b>All tenants</b>
              <span class="faint">An operator’s key. Requests name the tenant in a header.</span>
            </span>
          </label>
        </fieldset>
      )}
      <fieldset class="options">
        <legend>Scope</legend>
        {(Object.keys(SCOPES) as Key['scope'][]).map((one) => (
          <label key={one} class="option">
            <input type="radio" name="scope" checked={scope === one} onChange={() => setScope(one)} />
            <span>
              <b>{SCOPES[one].label}</b>
              <span class="faint">{SCOPES[one].allows}.</span>
            </span>
          </label>
        ))}
      </fieldset>
      <div class="field-pair">
        <Field label="Expires" pointer="/expires_at" problem={problem}>
          {(id, described) => (
            <select id={id} aria-describedby={described} value={life} onChange={(event) => setLife(event.currentTarget.value)}>
              {LIVES.map(([value, label]) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
            </select>
          )}
        </Field>
        {life === 'date' && (
          <Field label="At (UTC)">{(id) => <input id={id} type="datetime-local" required value={date} onInput={(event) => setDate(event.currentTarget.value)} />}</Field>
        )}
      </div>
      <FormFailure problem={problem} fields={['/name', '/expires_at', ...(isOperator.value && !all ? ['/tenant'] : [])]} done="created" />
      <footer class="dialog-foot">
        <button type="button" class="button" disabled={busy} onClick={close}>
          Close
        </button>
        <button type="submit" class="button primary" disabled={busy || (isOperator.value && !all && !tenant.trim())}>
          Create
        </button>
      </footer>
    </form>
  )
}
