// The live stream: read by fetch, because the browser's own EventSource sends no key. It goes on after the last event
// that came, so that a short break loses nothing.
import { useEffect, useRef } from 'preact/hooks'
import { signal } from '@preact/signals'
import { toast } from '../ui/toast'
import { asProblem, type Problem, type Schemas, send } from './client'

export interface Accepted {
  kind: 'accepted'
  webhook_id: string
  event_type: string | null
  accepted_at: string
  payload_bytes: number
  tenant_id: string
}
export type Attempted = { kind: 'attempt' } & Schemas['AttemptRow']
export interface Ended {
  kind: 'ended'
  webhook_id: string
  subscription_id: string
  event_type: string | null
  status: Schemas['FoundDeliveryAnswer']['status']
  reason: Schemas['FoundDeliveryAnswer']['reason']
  attempts: number
  ended_at: string
  tenant_id: string
}
export type StreamItem = Accepted | Attempted | Ended

export type StreamState = 'off' | 'connecting' | 'live' | 'waiting'

const LONGEST_WAIT_MS = 30_000
/** The server sends a comment every 15 s: after three of them have not come, the connection is dead. */
const LONGEST_SILENCE_MS = 45_000

interface Listener {
  query: Record<string, string[]>
  onItems: (items: StreamItem[]) => void
  onState: (state: StreamState) => void
  onRefused: (problem: Problem) => void
  /** It is tried again later. */
  onBusy: (problem: Problem) => void
  /** Some of what happened did not come: it happened before the stream began, or this reader was too slow. */
  onGap: () => void
}

/** Parses the lines of Server-Sent Events. */
export class Parser {
  private rest = ''
  private id: string | null = null
  lastId: string | null = null

  read(text: string): { event: string; data: string }[] {
    const blocks = (this.rest + text).split('\n\n')
    this.rest = blocks.pop() ?? ''
    const found = []
    for (const block of blocks) {
      let event = 'message'
      const data = []
      for (const line of block.split('\n')) {
        if (line.startsWith('id:')) this.id = line.slice(3).trim()
        else if (line.startsWith('event:')) event = line.slice(6).trim()
        else if (line.startsWith('data:')) data.push(line.slice(5).trimStart())
      }
      if (this.id) this.lastId = this.id
      if (data.length) found.push({ event, data: data.join('\n') })
    }
    return found
  }
}

async function follow(listener: Listener, parser: Parser, signal: AbortSignal, heard: () => void): Promise<void> {
  const headers: Record<string, string> = parser.lastId ? { 'last-event-id': parser.lastId } : {}
  const response = await send('get', '/stream', { query: listener.query, headers, signal })
  listener.onState('live')
  if (!parser.lastId) listener.onGap()
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done) return
    heard()
    const items: StreamItem[] = []
    for (const { event, data } of parser.read(value)) {
      const item = JSON.parse(data) as Record<string, unknown>
      if (event === 'missed') listener.onGap()
      else if (event === 'accepted' || event === 'attempt' || event === 'ended') items.push({ kind: event, ...item } as StreamItem)
    }
    if (items.length) listener.onItems(items)
  }
}

/** Follows until the connection ends, or nothing comes for too long. */
async function followWhileAlive(listener: Listener, parser: Parser, signal: AbortSignal): Promise<void> {
  const connection = new AbortController()
  const end = () => connection.abort()
  let silence = setTimeout(end, LONGEST_SILENCE_MS)
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(end, LONGEST_SILENCE_MS)
  }
  signal.addEventListener('abort', end, { once: true })
  try {
    await follow(listener, parser, connection.signal, heard)
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', end)
  }
}

async function listen(listener: Listener, signal: AbortSignal): Promise<void> {
  const parser = new Parser()
  let wait = 1_000
  while (!signal.aborted) {
    listener.onState('connecting')
    const began = Date.now()
    try {
      await followWhileAlive(listener, parser, signal)
    } catch (error) {
      if (signal.aborted) return
      const problem = asProblem(error)
      // The same request would be refused again; too many streams (429) may end.
      if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) return listener.onRefused(problem)
      if (problem.status === 429) listener.onBusy(problem)
    }
    listener.onState('waiting')
    wait = Date.now() - began > 10_000 ? 1_000 : Math.min(wait * 2, LONGEST_WAIT_MS)
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** Whether lists follow what happens; kept while the dashboard is open. */
export const live = signal(false)
export const streamState = signal<StreamState>('off')
/** Why it waits, where the server said so. */
export const streamProblem = signal<string | null>(null)

/** Follows the stream while `live` is on and the view is there. After a gap the view has to be loaded again. */
export function useStream(query: Record<string, string[]>, onItems: (items: StreamItem[]) => void, onGap: () => void): void {
  const latest = useRef({ onItems, onGap })
  latest.current = { onItems, onGap }
  const what = JSON.stringify(query)
  useEffect(() => {
    if (!live.value) return
    const leaving = new AbortController()
    const listener: Listener = {
      query,
      onItems: (items) => leaving.signal.aborted || latest.current.onItems(items),
      onGap: () => leaving.signal.aborted || latest.current.onGap(),
      onState: (state) => {
        if (leaving.signal.aborted) return
        streamState.value = state
        if (state === 'live') streamProblem.value = null
      },
      onBusy: (problem) => leaving.signal.aborted || (streamProblem.value = problem.detail ?? problem.title),
      onRefused: (problem) => {
        live.value = false
        toast(problem.detail ?? problem.title, 'bad')
      },
    }
    void listen(listener, leaving.signal)
    return () => {
      leaving.abort()
      streamState.value = 'off'
      streamProblem.value = null
    }
  }, [what, live.value])
}
