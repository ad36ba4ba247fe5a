// Finds out who uses the dashboard.
import { signal } from '@preact/signals'
import { asProblem, get, type Problem } from './client'
import { ended, failure, forget, isKey, isPortal, key, me, notice, onlyTenant, remember } from './session'

/** Set when the server has said who this is, or that it takes a key to know. */
export const isIdentified = signal(false)

/** Asks the server who this is. Without a key it succeeds where none is needed. */
export async function identify(): Promise<void> {
  const used = key.value
  failure.value = null
  isIdentified.value = false
  let problem: Problem | null = null
  try {
    await enter()
  } catch (error) {
    problem = asProblem(error)
  }
  // Meanwhile another key may have come, which asks for itself. A key that was refused is forgotten by now.
  if (key.value !== used && key.value !== null) return
  if (problem && problem.status !== 401) failure.value = problem
  isIdentified.value = true
}

/** Signs in, or says why not. */
export async function signIn(given: string): Promise<Problem | null> {
  const used = given.trim()
  if (!isKey(used)) {
    const detail = 'A key has only letters, digits and underscores. This has another character, which may be invisible: copy the key again, or type it.'
    return { title: 'This is not a key', detail, status: 0, code: 'key_malformed' }
  }
  remember(used)
  try {
    await enter()
    return null
  } catch (error) {
    if (key.value === used) forget()
    notice.value = null
    const problem = asProblem(error)
    return problem.status === 401 ? { title: 'This key is not valid. It may be incomplete, revoked or expired.', status: 401, code: problem.code } : problem
  }
}

/** Shows the dashboard to whom the key belongs, unless it is another one by then. */
async function enter(): Promise<void> {
  const used = key.value
  const who = await get('/me')
  const only = who.kind === 'operator' && who.scope === 'admin' ? await findOnlyTenant() : null
  if (key.value !== used) return
  onlyTenant.value = only
  me.value = who
  if (isPortal.value && who.expires_at) endAt(Date.parse(who.expires_at), used)
}

/** Tenants are listed for admins only. */
async function findOnlyTenant(): Promise<string | null> {
  const { data } = await get('/tenants', { query: { limit: 2 } })
  return data.length === 1 ? (data[0]?.id ?? null) : null
}

/** After a tenant was created or deleted. */
export async function tenantsChanged(): Promise<void> {
  const used = key.value
  const only = await findOnlyTenant().catch(() => null)
  if (key.value === used) onlyTenant.value = only
}

const LONGEST_TIMER_MS = 86_400_000
const ASK_AGAIN_MS = 15_000

/** Says that a portal link has expired when it does, not at the next click. The server decides: clocks differ. */
function endAt(end: number, token: string | null): void {
  const left = end - Date.now()
  const isOver = () => key.value !== token || !me.value
  const wait = left > 0 ? Math.min(left + 500, LONGEST_TIMER_MS) : ASK_AGAIN_MS
  setTimeout(() => {
    if (isOver()) return
    if (Date.now() < end) return endAt(end, token)
    // Where it has ended, `send` forgets the token.
    void get('/me')
      .catch(() => undefined)
      .then(() => (!isOver() ? endAt(end, token) : ended.value === 'refused' && (ended.value = 'expired')))
  }, wait)
}
