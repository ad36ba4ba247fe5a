// What a subscription with these types and this filter would have got of the newest events.
import { useEffect, useState } from 'preact/hooks'
import { asProblem, post, type Problem, type Schemas } from '../../api/client'
import { href } from '../../route'
import { bytes, exact, Moment, number } from '../../ui/moment'
import { Bones } from '../../ui/states'
import { readPayload } from '../events/payload'
import { fieldsOf } from './conditions'
import { parseObject } from './draft'

type Tested = Schemas['FilterTestAnswer']

const LAST = 1_000
const WAIT_MS = 400

interface Trial {
  tested: Tested | null
  problem: Problem | null
  busy: boolean
}

/** Asks a moment after the last change. */
export function useTrial(event_types: string[], filter: string, ready: boolean): Trial {
  const [trial, setTrial] = useState<Trial>({ tested: null, problem: null, busy: true })
  const what = JSON.stringify([event_types, filter, ready])
  useEffect(() => {
    if (!ready) return setTrial({ tested: null, problem: null, busy: false })
    const parsed = parseObject(filter, '/filter')
    if ('problem' in parsed) return setTrial((was) => ({ ...was, problem: parsed.problem, busy: false }))
    const leaving = new AbortController()
    setTrial((was) => ({ ...was, busy: true }))
    const timer = setTimeout(() => {
      post('/subscriptions/filter-test', { body: { event_types, filter: parsed.value as Record<string, never> | null, last: LAST }, signal: leaving.signal }).then(
        (tested) => setTrial({ tested, problem: null, busy: false }),
        (error: unknown) => leaving.signal.aborted || setTrial((was) => ({ ...was, problem: asProblem(error), busy: false })),
      )
    }, WAIT_MS)
    return () => (clearTimeout(timer), leaving.abort())
  }, [what])
  return trial
}

/** The fields of the newest event that the types are about, to suggest them. */
export function useFields(tested: Tested | null): string[] {
  const [fields, setFields] = useState<string[]>([])
  const newest = tested?.sample[0]?.webhook_id
  useEffect(() => {
    if (!newest) return
    const leaving = new AbortController()
    readPayload(newest, undefined, leaving.signal).then(
      ({ text }) => setFields(fieldsOf(JSON.parse(text))),
      () => undefined,
    )
    return () => leaving.abort()
  }, [newest])
  return fields
}

export function FilterTest({ trial, filtered }: { trial: Trial; filtered: boolean }) {
  const { tested, problem, busy } = trial
  return (
    <section class="trial" aria-busy={busy} aria-label="Test against stored events">
      <h2>What it would have got</h2>
      {!tested && busy && <Bones lines={3} />}
      {!tested && !busy && !problem && <p class="faint">Choose event types, and see how many of the newest events they are about.</p>}
      {problem && <p class="faint">{problem.errors?.length ? 'The test waits until types and filter are right.' : (problem.detail ?? problem.title)}</p>}
      {tested && !problem && (
        <div class={busy ? 'is-loading' : ''}>
          {tested.examined === 0 ? (
            <p class="faint">No events are stored yet, so there is nothing to test on.</p>
          ) : (
            <>
              <p class="big-number">
                {number(tested.matched)} <span>of the newest {number(tested.examined)} events</span>
              </p>
              <span class="meter whole" aria-hidden="true">
                <span style={{ width: `${(tested.matched / tested.examined) * 100}%` }} />
              </span>
              {tested.examined_to && <p class="faint">Searched back to {exact(tested.examined_to)}.</p>}
              {tested.matched === 0 && <p class="faint">None of them matches {filtered ? 'the types and the filter' : 'the types'}.</p>}
              <ul class="matched" aria-label="Matching events">
                {tested.sample.map((event) => (
                  <li key={event.webhook_id}>
                    <a class="mono ellipsis" href={href(`/events/${event.webhook_id}`, { tab: 'payload' })} target="_blank" rel="noreferrer" title="Show its payload in another tab">
                      {event.event_type ?? 'no type'}
                    </a>
                    <span class="faint">{bytes(event.payload_bytes)}</span>
                    <Moment at={event.accepted_at} />
                  </li>
                ))}
              </ul>
            </>
          )}
        </div>
      )}
    </section>
  )
}
