// Fields of the advanced part.
import { useState } from 'preact/hooks'
import type { Problem } from '../../api/client'
import { Field } from '../../ui/field'
import type { Draft } from './draft'

export function Check({ label, hint, on, change }: { label: string; hint: string; on: boolean; change: (on: boolean) => void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={on} onChange={(event) => change(event.currentTarget.checked)} />
      <span>
        {label} <span class="faint">{hint}</span>
      </span>
    </label>
  )
}

export function Auth({ auth, change, problem }: { auth: Draft['auth']; change: (auth: Draft['auth']) => void; problem: Problem | null }) {
  const put = (part: Partial<Draft['auth']>) => change({ ...auth, ...part })
  const kept = auth.stored ? 'Empty: what is stored stays.' : undefined
  const secret = (name: 'password' | 'token', label: string) => (
    <Field label={label} pointer={`/auth/${name}`} problem={problem} hint={kept}>
      {(id, described) => (
        <input id={id} aria-describedby={described} class="mono" type="password" autocomplete="off" spellcheck={false} value={auth[name]} onInput={(event) => put({ [name]: event.currentTarget.value })} />
      )}
    </Field>
  )
  const own = problem && { ...problem, errors: (problem.errors ?? []).filter(({ pointer }) => pointer === '/auth' || pointer === '/auth/type') }
  return (
    <>
      <Field label="Authorization" pointer="/auth" problem={own} hint="Besides the signature, for receivers that ask for it.">
        {(id, described) => (
          <select id={id} aria-describedby={described} class="short" value={auth.type} onChange={(event) => put({ type: event.currentTarget.value as Draft['auth']['type'], stored: false })}>
            <option value="">None</option>
            <option value="basic">Basic: name and password</option>
            <option value="bearer">Bearer: a token</option>
          </select>
        )}
      </Field>
      {auth.type === 'basic' && (
        <div class="form-row">
          <Field label="User name" pointer="/auth/username" problem={problem}>
            {(id, described) => <input id={id} aria-describedby={described} class="mono" autocomplete="off" spellcheck={false} value={auth.username} onInput={(event) => put({ username: event.currentTarget.value })} />}
          </Field>
          {secret('password', 'Password')}
        </div>
      )}
      {auth.type === 'bearer' && secret('token', 'Token')}
    </>
  )
}

const SCHEDULES: [value: string, label: string][] = [
  ['', 'As the instance does'],
  ['standard', 'Standard: 10 attempts in about 3 days'],
  ['day', 'Day: 11 attempts in about 23 hours'],
  ['fast', 'Fast: 6 attempts in about 43 minutes'],
  ['none', 'None: one attempt'],
]

export function Retries({ schedule, change, problem }: { schedule: string; change: (schedule: string) => void; problem: Problem | null }) {
  const [own, setOwn] = useState(() => !SCHEDULES.some(([value]) => value === schedule))
  return (
    <div class="form-row">
      <Field label="Retries" pointer={own ? undefined : '/retry_schedule'} problem={problem}>
        {(id, described) => (
          <select
            id={id}
            aria-describedby={described}
            value={own ? 'own' : schedule}
            onChange={(event) => {
              const { value } = event.currentTarget
              setOwn(value === 'own')
              change(value === 'own' ? '10s,5m,2h' : value)
            }}
          >
            {SCHEDULES.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
            <option value="own">Own delays…</option>
          </select>
        )}
      </Field>
      {own && (
        <Field label="Delays" pointer="/retry_schedule" problem={problem} hint="1 s to 24 h each, separated by commas.">
          {(id, described) => <input id={id} aria-describedby={described} class="mono" spellcheck={false} value={schedule} onInput={(event) => change(event.currentTarget.value)} />}
        </Field>
      )}
    </div>
  )
}

const LIMITS = [
  { name: 'request_timeout_ms', label: 'Time limit, ms', hint: 'Of an attempt.', min: 1_000, max: 60_000, empty: 'the instance’s default' },
  { name: 'rate_limit', label: 'Requests a second', hint: 'At most.', min: 1, max: 100_000, empty: 'no limit' },
  { name: 'max_in_flight', label: 'Requests at a time', hint: 'At most.', min: 1, max: 10_000, empty: 'the instance’s default' },
] as const

export function Limits({ draft, change, problem }: { draft: Draft; change: (part: Partial<Draft>) => void; problem: Problem | null }) {
  return (
    <div class="form-row">
      {LIMITS.map(({ name, label, hint, min, max, empty }) => (
        <Field key={name} label={label} pointer={`/${name}`} problem={problem} hint={hint}>
          {(id, described) => (
            <input id={id} aria-describedby={described} type="number" min={min} max={max} placeholder={empty} value={draft[name]} onInput={(event) => change({ [name]: event.currentTarget.value })} />
          )}
        </Field>
      ))}
    </div>
  )
}
