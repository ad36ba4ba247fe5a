// What a view loads: kept while it is loaded again, dropped when the view is left.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { asProblem, type Problem } from './client'

export interface Resource<T> {
  data: T | null
  problem: Problem | null
  /** The data is not there yet, or is about to be replaced because somebody asked for that. */
  loading: boolean
  /** A request is in flight, also one of `refresh`. */
  asking: boolean
  /** When the request began that brought the data (`performance.now()`). */
  askedAt: number
  reload: () => void
  /** Loads again without showing that it does. */
  refresh: () => void
}

interface State<T> {
  what: string
  /** What `data` is of: under `keep` it may be what was asked for before. */
  of: string
  data: T | null
  problem: Problem | null
  loading: boolean
  asking: boolean
  askedAt: number
}

/** Loads again whenever `what` changes. `keep` shows the old data meanwhile, as for another page of one list. */
export function useResource<T>(what: string, load: (signal: AbortSignal) => Promise<T>, keep = false): Resource<T> {
  const [state, setState] = useState<State<T>>({ what, of: what, data: null, problem: null, loading: true, asking: true, askedAt: 0 })
  const [round, setRound] = useState(0)
  const latest = useRef(load)
  latest.current = load
  const quietly = useRef(false)
  useEffect(() => {
    const leaving = new AbortController()
    const quiet = quietly.current
    quietly.current = false
    const askedAt = performance.now()
    setState((was) => {
      if (quiet && was.of === what && (was.data !== null || was.problem)) return { ...was, what, asking: true }
      return { ...was, what, data: was.of === what || keep ? was.data : null, problem: null, loading: true, asking: true }
    })
    latest.current(leaving.signal).then(
      (data) => leaving.signal.aborted || setState({ what, of: what, data, problem: null, loading: false, asking: false, askedAt }),
      (error: unknown) => {
        if (leaving.signal.aborted) return
        // Rows of another filter would stand below this error as if they were of this one.
        setState((was) => ({ ...was, what, of: what, data: was.of === what ? was.data : null, problem: asProblem(error), loading: false, asking: false }))
      },
    )
    return () => leaving.abort()
  }, [what, round])
  const reload = useCallback(() => setRound((round) => round + 1), [])
  const refresh = useCallback(() => {
    quietly.current = true
    setRound((round) => round + 1)
  }, [])
  const current = state.what === what
  return {
    data: current || keep ? state.data : null,
    problem: current ? state.problem : null,
    loading: state.loading || !current,
    asking: state.asking || !current,
    askedAt: state.askedAt,
    reload,
    refresh,
  }
}

/**
 * Asks again so long after the last answer, so that a slow server answers each request; null for never. Nothing is
 * asked while the tab is hidden, and at once when it is seen again.
 */
export function usePolling(everyMs: number | null, ...resources: Pick<Resource<unknown>, 'asking' | 'refresh'>[]): void {
  const asking = resources.some((one) => one.asking)
  const latest = useRef(resources)
  latest.current = resources
  useEffect(() => {
    if (everyMs === null || asking) return
    let due = false
    const ask = () => {
      if (due && !document.hidden) latest.current.forEach((one) => one.refresh())
    }
    const timer = setTimeout(() => {
      due = true
      ask()
    }, everyMs)
    document.addEventListener('visibilitychange', ask)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', ask)
    }
  }, [everyMs, asking])
}

export interface Page<R> {
  data: R[]
  next_cursor?: string | null
  examined_to?: string | null
}

const ROUNDS = 3

/** A page of a list. The server ends a page early if it has examined enough rows, so it is asked up to three times. */
export async function fill<R>(limit: number, ask: (cursor: string | undefined) => Promise<Page<R>>, cursor?: string): Promise<Page<R>> {
  const rows: R[] = []
  let page: Page<R> = { data: [], next_cursor: cursor ?? null }
  for (let round = 0; round < ROUNDS; round += 1) {
    page = await ask(page.next_cursor ?? undefined)
    rows.push(...page.data)
    if (!page.next_cursor || rows.length >= limit) break
  }
  return { ...page, data: rows }
}
