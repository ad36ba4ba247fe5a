// Finds out who uses the dashboard.
import { signal } from '@preact/signals'
import { asProblem, get, type Problem, ProblemError } from './client'
import { failure, forget, type Me, me, notice, onlyTenant, remember } from './session'

/** Set when the first question was answered. */
export const asked = signal(false)

/** Asks the server who this is. Without a key it succeeds where none is needed. */
export async function identify(): Promise<void> {
  failure.value = null
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
  if (who.kind === 'operator') {
    const { data } = await get('/tenants', { query: { limit: 2 } })
    onlyTenant.value = data.length === 1 ? (data[0]?.id ?? null) : null
  }
  me.value = who
}
