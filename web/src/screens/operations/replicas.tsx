// The processes of postrider.
import { Id, Moment, number } from '../../ui/moment'
import { Empty } from '../../ui/states'
import { Pill } from '../../ui/status'
import { type Column, Table } from '../../ui/table'
import type { Operations } from './answer'

type Replica = Operations['replicas'][number]

const ROLES: Record<string, string> = { serve: 'API, worker and upkeep', api: 'API', worker: 'Worker and upkeep' }

const COLUMNS: Column<Replica>[] = [
  {
    name: 'role',
    head: 'Role',
    kind: 'wide',
    narrow: 'title',
    cell: (row) => (
      <>
        <span class="mono">{row.role}</span> <span class="faint">{ROLES[row.role]}</span>
      </>
    ),
  },
  { name: 'state', head: 'State', narrow: 'status', cell: (row) => (row.is_lost ? <Pill tone="red">Lost</Pill> : <Pill tone="green">Running</Pill>) },
  { name: 'version', head: 'Version', narrow: 'under', cell: (row) => row.version },
  { name: 'id', head: 'Id', cell: (row) => <Id id={row.id} /> },
  { name: 'backlog', head: 'Backlog', kind: 'number', cell: (row) => (row.role === 'api' ? <span class="faint">–</span> : number(row.backlog)) },
  { name: 'started', head: 'Started', cell: (row) => <Moment at={row.started_at} /> },
  { name: 'heartbeat', head: 'Heartbeat', narrow: 'side', cell: (row) => <Moment at={row.heartbeat_at} /> },
]

export function Replicas({ replicas }: { replicas: Replica[] }) {
  const versions = new Set(replicas.map((one) => one.version))
  return (
    <section class="part">
      <h2>Replicas {versions.size > 1 && <span class="faint">· {versions.size} versions, as during an upgrade</span>}</h2>
      <Table label="Replicas" columns={COLUMNS} rows={replicas} rowKey={(row) => row.id} empty={<Empty icon="operations" title="No replica gives a sign of life" />} />
    </section>
  )
}
