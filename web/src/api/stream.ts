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

interface Listener {
  query: Record<string, string[]>
  onItems: (items: StreamItem[]) => void
  onState: (state: StreamState) => void
  onRefused: (problem: Problem) => void
  /** The server dropped so many, because this reader was slow. */
  onMissed: (count: number) => void
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

async function follow(listener: Listener, parser: Parser, signal: AbortSignal): Promise<void> {
  const headers: Record<string, string> = parser.lastId ? { 'last-event-id': parser.lastId } : {}
  const response = await send('get', '/stream', { query: listener.query, headers, signal })
  listener.onState('live')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done) return
    const items: StreamItem[] = []
    for (const { event, data } of parser.read(value)) {
      const item = JSON.parse(data) as Record<string, unknown>
      if (event === 'missed') listener.onMissed(Number(item.missed))
      else if (event === 'accepted' || event === 'attempt' || event === 'ended') items.push({ kind: event, ...item } as StreamItem)
    }
    if (items.length) listener.onItems(items)
  }
}

async function listen(listener: Listener, signal: AbortSignal): Promise<void> {
  const parser = new Parser()
  let wait = 1_000
  while (!signal.aborted) {
    listener.onState('connecting')
    const began = Date.now()
    try {
      await follow(listener, parser, signal)
    } catch (error) {
      if (signal.aborted) return
      const problem = asProblem(error)
      // The same request would be refused again; too many streams (429) may end.
      if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) return listener.onRefused(problem)
    }
    listener.onState('waiting')
    wait = Date.now() - began > 10_000 ? 1_000 : Math.min(wait * 2, LONGEST_WAIT_MS)
    await new Promise((resolve) => setTimeout(resolve, wait))
  }
}

/** Whether lists follow what happens; kept while the dashboard is open. */
export const live = signal(false)
export const streamState = signal<StreamState>('off')

/** Follows the stream while `live` is on and the view is there. */
export function useStream(query: Record<string, string[]>, onItems: (items: StreamItem[]) => void, onMissed: (count: number) => void): void {
  const latest = useRef({ onItems, onMissed })
  latest.current = { onItems, onMissed }
  const what = JSON.stringify(query)
  useEffect(() => {
    if (!live.value) return
    const leaving = new AbortController()
    const listener: Listener = {
      query,
      onItems: (items) => latest.current.onItems(items),
      onMissed: (count) => latest.current.onMissed(count),
      onState: (state) => leaving.signal.aborted || (streamState.value = state),
      onRefused: (problem) => {
        live.value = false
        toast(problem.detail ?? problem.title, 'bad')
      },
    }
    void listen(listener, leaving.signal)
    return () => {
      leaving.abort()
      streamState.value = 'off'
    }
  }, [what, live.value])
}
