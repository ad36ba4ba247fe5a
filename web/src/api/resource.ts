// What a view loads: kept while it is loaded again, dropped when the view is left.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { asProblem, type Problem } from './client'

export interface Resource<T> {
  data: T | null
  problem: Problem | null
  loading: boolean
  reload: () => void
}

/** Loads again whenever `what` changes. `keep` shows the old data meanwhile, as for another page of one list. */
export function useResource<T>(what: string, load: (signal: AbortSignal) => Promise<T>, keep = false): Resource<T> {
  const [state, setState] = useState<{ what: string; data: T | null; problem: Problem | null; loading: boolean }>({
    what,
    data: null,
    problem: null,
    loading: true,
  })
  const [round, setRound] = useState(0)
  const latest = useRef(load)
  latest.current = load
  useEffect(() => {
    const leaving = new AbortController()
    setState((was) => ({ what, data: was.what === what || keep ? was.data : null, problem: null, loading: true }))
    latest.current(leaving.signal).then(
      (data) => !leaving.signal.aborted && setState({ what, data, problem: null, loading: false }),
      (error: unknown) => {
        if (leaving.signal.aborted) return
        setState((was) => ({ what, data: was.what === what ? was.data : null, problem: asProblem(error), loading: false }))
      },
    )
    return () => leaving.abort()
  }, [what, round])
  const reload = useCallback(() => setRound((round) => round + 1), [])
  const current = state.what === what || keep
  return { data: current ? state.data : null, problem: current ? state.problem : null, loading: state.loading || !current, reload }
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
