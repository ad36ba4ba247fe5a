// One replay: how far it is, what it sends, who began it.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { may } from '../../api/session'
import { href } from '../../route'
import { Unfilled } from '../../ui/dialog'
import { distance, Id, Moment, number } from '../../ui/moment'
import { Bones, Failure, Outdated } from '../../ui/states'
import { Pill } from '../../ui/status'
import { Fact } from '../deliveries/view'
import { SubscriptionName } from '../subscriptions/name'
import { cancelReplay } from './cancel'
import { Outcome } from './outcome'
import { deliveriesOf, filtersOf, inWords, type Replay, share, STATES, totalOf } from './selected'
import { actorWords, useBeginners } from './who'

const REFRESH_MS = 1_000

interface Props {
  id: string
  tools?: ComponentChildren
  changed?: () => void
}

export function ReplayView({ id, tools, changed }: Props) {
  const replay = useResource(id, (signal) => get('/replays/{replay_id}', { at: { replay_id: id }, signal }))
  const [busy, setBusy] = useState(false)
  const running = replay.data?.status === 'running'
  usePolling(running ? REFRESH_MS : null, replay)
  const cancel = async () => {
    setBusy(true)
    await cancelReplay(id)
    replay.reload()
    changed?.()
    setBusy(false)
  }
  if (!replay.data) return <Unfilled tools={tools}>{replay.problem ? <Failure problem={replay.problem} retry={replay.reload} /> : <Bones lines={6} />}</Unfilled>
  const { status, replayed } = replay.data
  const Heading = tools ? 'h2' : 'h1'
  const [part, total] = [share(replay.data), totalOf(replay.data)]
  return (
    <article class="delivery">
      <header class="sheet-head">
        <Pill tone={STATES[status].tone}>{STATES[status].label}</Pill>
        <Heading>Replay</Heading>
        <span class="grow" />
        {running && may.value.manage && (
          <button type="button" class="button" disabled={busy} onClick={() => void cancel()}>
            Cancel
          </button>
        )}
        {tools}
      </header>
      <Outdated of={replay} />
      <p class="big-number">
        {number(replayed)} <span>{total === null ? 'queued again' : `of ${number(total)} queued again`}</span>
      </p>
      <progress class="progress" max={1} {...(part === null && running ? {} : { value: part ?? 0 })} aria-label="Progress" />
      <p class="faint">{note(replay.data)}</p>
      <Outcome replay={replay.data} />
      <Facts replay={replay.data} />
    </article>
  )
}

function note(replay: Replay): string {
  const { status, replayed, total, rate } = replay
  if (status === 'cancelled') return 'What was queued again before is still sent.'
  if (status === 'finished') return 'Everything is in the queue.'
  const left = total ? Math.ceil(Math.max(total - replayed, 0) / Math.max(rate, 1)) : null
  return `${left === null ? '' : `About ${distance(left)} left. `}New events go first; it pauses while a receiver is unavailable or its subscription disabled.`
}

function Facts({ replay }: { replay: Replay }) {
  const { subscription_id: ids, since, until } = filtersOf(replay)
  const entry = useBeginners({ replay: replay.id }).get(replay.id)
  return (
    <dl class="facts">
      <Fact name="What" wide>
        {inWords(replay)}
      </Fact>
      <Fact name="At most">{number(replay.rate)} a second</Fact>
      <Fact name="To" wide>
        {ids.length ? <Names ids={ids} /> : replay.to === 'matching' ? 'Subscriptions that match now and have not got them' : 'The subscriptions that had them'}
        {ids.length > 0 && replay.to === 'matching' && <span class="faint"> if they match now</span>}
      </Fact>
      <Fact name="Deliveries">
        <a href={href('/deliveries', deliveriesOf(replay))}>Show</a>
      </Fact>
      <Fact name="Accepted from">
        <Moment at={since} none="all that is stored" />
      </Fact>
      <Fact name="Accepted until">
        <Moment at={until} />
      </Fact>
      <Fact name="Begun by">{entry ? <span title={entry.key_id ?? undefined}>{actorWords(entry)}</span> : <span class="faint">not known</span>}</Fact>
      <Fact name="Begun">
        <Moment at={replay.created_at} />
      </Fact>
      <Fact name="Ended">
        <Moment at={replay.ended_at} none="not yet" />
      </Fact>
      <Fact name="Replay">
        <Id id={replay.id} />
      </Fact>
    </dl>
  )
}

function Names({ ids }: { ids: string[] }) {
  return (
    <>
      {ids.map((id, index) => (
        <span key={id}>
          {index > 0 && ', '}
          <SubscriptionName id={id} link />
        </span>
      ))}
    </>
  )
}
