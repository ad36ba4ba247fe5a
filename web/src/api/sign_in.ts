// Finds out who uses the dashboard.
import { signal } from '@preact/signals'
import { asProblem, get, type Problem, ProblemError } from './client'
import { ended, failure, forget, isPortal, key, type Me, me, notice, onlyTenant, remember } from './session'

/** Set when the first question was answered. */
export const asked = signal(false)

/** Asks the server who this is. Without a key it succeeds where none is needed. */
export async function identify(): Promise<void> {
  failure.value = null
  asked.value = false
  try {
    await enter(await get('/me'))
  } catch (error) {
    const problem = asProblem(error)
    if (problem.status !== 401) failure.value = problem
  } finally {
    asked.value = true
  }
}

/** Signs in, or says why not. */
export async function signIn(given: string): Promise<Problem | null> {
  remember(given.trim())
  try {
    await enter(await get('/me'))
    return null
  } catch (error) {
    forget()
    notice.value = null
    if (error instanceof ProblemError) return error.problem
    throw error
  }
}

async function enter(who: Me): Promise<void> {
  // Tenants are listed for admins only.
  if (who.kind === 'operator' && who.scope === 'admin') {
    const { data } = await get('/tenants', { query: { limit: 2 } })
    onlyTenant.value = data.length === 1 ? (data[0]?.id ?? null) : null
  }
  me.value = who
  if (isPortal.value && who.expires_at) endAt(Date.parse(who.expires_at), key.value)
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
