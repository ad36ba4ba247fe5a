// The address of the receiver, checked while it is written.
import { useEffect, useState } from 'preact/hooks'
import { asProblem, post, type Problem } from '../../api/client'
import { chosen, may } from '../../api/session'
import { errorsAt, Field } from '../../ui/field'
import { Icon } from '../../ui/icons'

const WAIT_MS = 500
/** What stands for a secret in responses. As a secret it is always refused, so the request below makes nothing. */
const MASK = '********'

type Check = { state: 'none' } | { state: 'good' } | { state: 'bad'; problem: Problem }

/** What the server says of the address: creating names every field that is wrong. */
async function ask(target_url: string, signal: AbortSignal): Promise<Check> {
  try {
    await post('/subscriptions/', { body: { target_url, secret_key: MASK }, signal })
  } catch (error) {
    const problem = asProblem(error)
    if (errorsAt(problem, '/target_url').length) return { state: 'bad', problem }
    if (errorsAt(problem, '/secret_key').length) return { state: 'good' }
  }
  return { state: 'none' }
}

function useCheck(url: string, stored: string | undefined): Check {
  const [check, setCheck] = useState<Check>({ state: 'none' })
  useEffect(() => {
    setCheck({ state: 'none' })
    if (!/^https?:\/\/[^\s/]/.test(url) || url === stored || !may.value.manage) return
    const leaving = new AbortController()
    const timer = setTimeout(() => void ask(url, leaving.signal).then((found) => leaving.signal.aborted || setCheck(found), () => undefined), WAIT_MS)
    return () => (clearTimeout(timer), leaving.abort())
  }, [url, stored, chosen.value])
  return check
}

interface Props {
  url: string
  /** What it is already, and so needs no check. */
  stored?: string | undefined
  change: (url: string) => void
  problem: Problem | null
}

export function TargetField({ url, stored, change, problem }: Props) {
  const wanted = url.trim()
  const check = useCheck(wanted, stored)
  const shown = errorsAt(problem, '/target_url').length ? problem : check.state === 'bad' ? check.problem : null
  return (
    <Field label="URL" pointer="/target_url" problem={shown} hint={!shown && <Verdict check={check} url={wanted} />}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          class="mono"
          type="text"
          inputMode="url"
          required
          spellcheck={false}
          autocomplete="off"
          placeholder="https://example.com/webhooks"
          value={url}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </Field>
  )
}

function Verdict({ check, url }: { check: Check; url: string }) {
  if (check.state !== 'good') return <>An https address that the server can reach from where it runs.</>
  if (url.startsWith('http:')) {
    return (
      <span class="amber-text">
        <Icon name="warn" /> The server may call this address, but http is not encrypted.
      </span>
    )
  }
  return (
    <span class="green-text">
      <Icon name="check" /> The server may call this address. Whether it answers, a test event shows.
    </span>
  )
}
