// The secrets that sign deliveries: what is valid and until when, and rotation.
import { useEffect, useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { kept } from '../../api/kept'
import { may } from '../../api/session'
import { CloseButton, Dialog } from '../../ui/dialog'
import { Field, FormFailure } from '../../ui/field'
import { Icon } from '../../ui/icons'
import { exact } from '../../ui/moment'
import { Pill } from '../../ui/status'
import type { PartProps } from './page'
import { NewSecret, Taken, Verification } from './secret'

export function Secrets({ one, changed }: PartProps) {
  const [rotating, setRotating] = useState(false)
  const ends = one.previous_secrets_until
  return (
    <>
      <section class="secret-list">
        <header class="section-head">
          <h2>Valid secrets</h2>
          <span class="grow" />
          {may.value.manage && (
            <button type="button" class="button" onClick={() => setRotating(true)}>
              <Icon name="rotate" /> Rotate…
            </button>
          )}
        </header>
        <ul class="card-list">
          <li>
            <span>
              <b>Current secret</b> <span class="faint">signs every delivery; it was shown when it was made</span>
            </span>
            <Pill tone="green">Valid</Pill>
            <span class="share faint">until it is rotated</span>
          </li>
          {ends.map((end, index) => (
            <li key={end}>
              <span>
                {index === 0 ? 'Secret before' : 'Older secret'} <span class="faint">signs too, so that receivers have time to change</span>
              </span>
              <Pill tone="amber">Ends</Pill>
              <Countdown end={end} over={changed} />
            </li>
          ))}
        </ul>
        <p class="faint">
          webhook-signature has a signature with each of them; x-hub-signature-256 is made with the current one only. A key that leaked is ended at once by a rotation without overlap.
        </p>
      </section>
      <Verification />
      {rotating && <RotateDialog one={one} changed={changed} close={() => setRotating(false)} />}
    </>
  )
}

function left(seconds: number): string {
  const part = (unit: number, of: number) => String(Math.floor(seconds / unit) % of).padStart(2, '0')
  const days = Math.floor(seconds / 86_400)
  return `${days ? `${days} d ` : ''}${part(3_600, 24)}:${part(60, 60)}:${part(1, 60)}`
}

function Countdown({ end, over }: { end: string; over: () => void }) {
  const [seconds, setSeconds] = useState(() => Math.max((Date.parse(end) - Date.now()) / 1_000, 0))
  useEffect(() => {
    const timer = setInterval(() => {
      const now = Math.max((Date.parse(end) - Date.now()) / 1_000, 0)
      setSeconds(now)
      if (now === 0) {
        clearInterval(timer)
        over()
      }
    }, 1_000)
    return () => clearInterval(timer)
  }, [end])
  return (
    <time class="share" dateTime={end} title={exact(end)}>
      in {left(seconds)}
    </time>
  )
}

const OVERLAPS: [seconds: string, label: string][] = [
  ['86400', 'A day'],
  ['3600', 'An hour'],
  ['604800', 'A week'],
  ['0', 'None: it leaked'],
]

const rotated = kept(({ of }: { of: string; secret: string }) => of)

/** The secret that was just made. It lies over the page of the subscription until somebody has it. */
export function Rotated({ id }: { id: string }) {
  const shown = rotated.of(id)
  if (!shown || !may.value.manage) return null
  const close = () => rotated.forget(id)
  return (
    <Dialog label="The new secret" close={close} locked>
      <header class="dialog-head">
        <h2>The new secret signs from now on</h2>
      </header>
      <NewSecret secret={shown.secret} />
      <Taken close={close} />
    </Dialog>
  )
}

export function RotateDialog({ one, changed, close }: PartProps & { close: () => void }) {
  const [overlap, setOverlap] = useState('86400')
  const [own, setOwn] = useState('')
  const [problem, setProblem] = useState<Problem | null>(null)
  const [busy, setBusy] = useState(false)
  const rotate = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      const body = { overlap_seconds: Number(overlap), ...(own ? { secret_key: own } : {}) }
      const made = post('/subscriptions/{subscription_id}/rotate-secret', { at: { subscription_id: one.id }, body })
      await rotated.keep(made.then(({ secret_key }) => ({ of: one.id, secret: secret_key })))
      close()
      changed()
    } catch (error) {
      setProblem(asProblem(error))
      setBusy(false)
    }
  }
  return (
    <Dialog label="Rotate the secret" close={close} locked={busy}>
      <header class="dialog-head">
        <h2>Rotate the secret</h2>
        {!busy && <CloseButton close={close} />}
      </header>
      <form onSubmit={(event) => void rotate(event)}>
        <p class="faint">A new secret signs from now on. The old one signs too until the overlap ends, so that the receiver can change in between.</p>
        <Field label="The old one stays valid for" pointer="/overlap_seconds" problem={problem}>
          {(id, described) => (
            <select id={id} aria-describedby={described} value={overlap} onChange={(event) => setOverlap(event.currentTarget.value)}>
              {OVERLAPS.map(([seconds, label]) => (
                <option key={seconds} value={seconds}>
                  {label}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="New secret" pointer="/secret_key" problem={problem} hint="Empty: one is made.">
          {(id, described) => <input id={id} aria-describedby={described} class="mono" autocomplete="off" spellcheck={false} value={own} onInput={(event) => setOwn(event.currentTarget.value)} />}
        </Field>
        <FormFailure problem={problem} fields={['/overlap_seconds', '/secret_key']} done="rotated" />
        <footer class="dialog-foot">
          <button type="button" class="button" disabled={busy} onClick={close}>
            Close
          </button>
          <button type="submit" class={`button ${overlap === '0' ? 'danger' : 'primary'}`} disabled={busy}>
            Rotate
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
