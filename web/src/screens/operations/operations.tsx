// How the service itself does: its replicas, its database, its settings.
import { get } from '../../api/client'
import { usePolling, useResource } from '../../api/resource'
import { Icon } from '../../ui/icons'
import { bytes, distance, number } from '../../ui/moment'
import { Bones, Failure } from '../../ui/states'
import { Tile } from '../../ui/tile'
import { concerns, LATE_OUTBOX_SECONDS, OLD_TRANSACTION_SECONDS, type Operations } from './answer'
import { Partitions } from './partitions'
import { Replicas } from './replicas'
import { Settings } from './settings'

const REFRESH_MS = 3_000

export function OperationsScreen() {
  // What is known stays while one request fails.
  const { data: now, problem, asking, refresh, reload } = useResource('operations', (signal) => get('/operations', { signal }))
  usePolling(REFRESH_MS, { asking, refresh })
  return (
    <>
      <header class="page-head">
        <h1>Operations</h1>
        <span class="grow" />
        {now && (
          <span class="faint">
            postrider {now.version} · PostgreSQL {now.database.version.split(' ')[0]}
          </span>
        )}
      </header>
      {problem && <Failure problem={problem} retry={reload} />}
      {!now && !problem && <Bones lines={12} />}
      {now && <Shown now={now} />}
    </>
  )
}

function Shown({ now }: { now: Operations }) {
  return (
    <>
      {concerns(now).map(({ title, advice }) => (
        <div key={title} class="why amber">
          <Icon name="warn" />
          <div>
            <strong>{title}</strong>
            <p>{advice}</p>
          </div>
        </div>
      ))}
      <Tiles now={now} />
      <Replicas replicas={now.replicas} />
      <Partitions partitions={now.partitions} more={now.partitions_more} />
      <Settings settings={now.settings} />
    </>
  )
}

function Tiles({ now }: { now: Operations }) {
  const { queue, outbox, database } = now
  // The shortest come and go with every request.
  const oldest = now.oldest_transaction && now.oldest_transaction.seconds >= 1 ? now.oldest_transaction : null
  return (
    <div class="tiles operations-tiles">
      <Tile name="Pending deliveries" value={number(queue.pending)} note="estimated by PostgreSQL" />
      <Tile name="Queue" value={bytes(queue.table_bytes + queue.index_bytes)} note={`${number(queue.dead_rows)} rows wait for vacuum`} />
      <Tile
        name="Outbox lag"
        value={outbox.waiting ? distance(outbox.lag_seconds) : 'none'}
        tone={outbox.lag_seconds > LATE_OUTBOX_SECONDS ? 'bad' : undefined}
        note={`${number(outbox.waiting)}${outbox.waiting_more ? '+' : ''} ${outbox.waiting === 1 ? 'event waits' : 'events wait'}`}
      />
      <Tile
        name="Oldest transaction"
        value={oldest ? distance(oldest.seconds) : 'none'}
        tone={oldest && oldest.seconds > OLD_TRANSACTION_SECONDS ? 'bad' : undefined}
        note={oldest ? `${oldest.kind === 'prepared' ? 'prepared ' : 'process '}${oldest.name}: ${oldest.detail}` : 'none is older than 1 s'}
      />
      <Tile name="Connections" value={number(database.connections)} note={`of ${number(database.max_connections)}, of all programs`} />
    </div>
  )
}
