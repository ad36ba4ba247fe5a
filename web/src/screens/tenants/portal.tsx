// A link with which a customer sees to its own webhooks; it is shown once.
import { useState } from 'preact/hooks'
import { asProblem, post, type Problem, remove, type Schemas } from '../../api/client'
import { kept } from '../../api/kept'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field } from '../../ui/field'
import { Moment } from '../../ui/moment'
import { Once } from '../../ui/once'
import { Failure } from '../../ui/states'
import { toast } from '../../ui/toast'
import type { Tenant } from './list'

type Session = Schemas['PortalSession']

const LIVES: [seconds: number, label: string][] = [
  [900, '15 minutes'],
  [3_600, '1 hour'],
  [28_800, '8 hours'],
  [86_400, '24 hours'],
]

const made = kept(({ of }: { of: string; session: Session }) => of)

/** Whether a link of this tenant was made that nobody has taken yet. */
export const isLinkShown = ({ id }: Tenant) => made.of(id) !== null

export function PortalLink({ tenant, close }: { tenant: Tenant; close: () => void }) {
  const [busy, setBusy] = useState(false)
  const session = made.of(tenant.id)?.session
  const done = () => (made.forget(tenant.id), close())
  return (
    <Dialog label="Portal link" close={close} locked={busy || session !== undefined}>
      <header class="dialog-head">
        <h2 class="wrap">{session ? 'Copy the link now' : `Portal link for ${tenant.name}`}</h2>
        {!session && !busy && <CloseButton close={close} />}
      </header>
      {session ? <Shown made={session} close={done} /> : <Form {...{ tenant, busy, setBusy, close }} />}
    </Dialog>
  )
}

interface FormProps {
  tenant: Tenant
  /** A link is being made: it would be lost if the dialog closed now. */
  busy: boolean
  setBusy: (busy: boolean) => void
  close: () => void
}

function Form({ tenant, busy, setBusy, close }: FormProps) {
  const [manage, setManage] = useState(true)
  const [seconds, setSeconds] = useState('3600')
  const [problem, setProblem] = useState<Problem | null>(null)
  const open = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    const capabilities: Session['capabilities'] = manage ? ['read', 'manage'] : ['read']
    try {
      const opened = post('/portal-sessions', { body: { tenant: tenant.id, capabilities, expires_in: Number(seconds) } })
      await made.keep(opened.then((session) => ({ of: tenant.id, session })))
    } catch (error) {
      setProblem(asProblem(error))
    }
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void open(event)}>
      <p class="faint">Anyone with the link sees the webhooks of this tenant, and of no other, until it expires.</p>
      <fieldset class="options">
        <legend>It allows</legend>
        <label class="option">
          <input type="checkbox" checked disabled />
          <span>
            <b>Looking</b>
            <span class="faint">Subscriptions, events, deliveries, attempts and numbers.</span>
          </span>
        </label>
        <label class="option">
          <input type="checkbox" checked={manage} onChange={() => setManage(!manage)} />
          <span>
            <b>Managing</b>
            <span class="faint">Creating and changing subscriptions, and sending again.</span>
          </span>
        </label>
      </fieldset>
      <Field label="Expires after" pointer="/expires_in" problem={problem}>
        {(id, described) => (
          <select id={id} aria-describedby={described} value={seconds} onChange={(event) => setSeconds(event.currentTarget.value)}>
            {LIVES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      {problem && !problem.errors?.some((error) => error.pointer === '/expires_in') && <Failure problem={problem} />}
      <footer class="dialog-foot">
        <button type="button" class="button" disabled={busy} onClick={close}>
          Close
        </button>
        <button type="submit" class="button primary" disabled={busy}>
          Make a link
        </button>
      </footer>
    </form>
  )
}

function Shown({ made, close }: { made: Session; close: () => void }) {
  const end = async () => {
    try {
      await remove('/keys/{key_id}', { at: { key_id: made.id } })
      toast('The link works no longer')
      close()
    } catch (error) {
      const problem = asProblem(error)
      toast(problem.detail ?? problem.title, 'bad')
    }
  }
  return (
    <>
      <p class="note amber">It is shown this once. Give it to the customer only: it needs no password.</p>
      <Once label="Link" text={made.url} />
      <p class="faint">
        {made.capabilities.includes('manage') ? 'For looking and managing' : 'For looking only'}; expires <Moment at={made.expires_at} />. In a frame, append{' '}
        <code>&amp;theme=dark</code> or <code>&amp;theme=light</code>.
      </p>
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={() => void end()}>
          End it now
        </button>
        <span class="grow" />
        <a class="button" href={made.url} target="_blank" rel="noreferrer noopener">
          Open
        </a>
        <button type="button" class="button primary" onClick={close}>
          Done
        </button>
      </footer>
    </>
  )
}
