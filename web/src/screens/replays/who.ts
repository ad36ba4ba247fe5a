// Who began a replay: the audit knows, and shows it to an admin.
import { useMemo } from 'preact/hooks'
import { get, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { may } from '../../api/session'

type Entry = Schemas['AuditEntry']

const WORDS: Record<string, string> = {
  anonymous: 'Somebody without a key',
  command: 'The command line',
  postrider: 'postrider',
  sql: 'Somebody in the database',
}

export const actorWords = (entry: Entry) => (entry.key_id ? `${entry.actor === 'portal' ? 'Portal' : 'Key'} …${entry.key_id.slice(-8)}` : (WORDS[entry.actor] ?? entry.actor))

/** The newest beginnings, by replay, or that of one. They are read again once there is a newer replay. */
export function useBeginners({ replay, newest }: { replay?: string; newest?: string | undefined }): ReadonlyMap<string, Entry> {
  const query = { action: ['replay.created' as const], limit: 100, ...(replay ? { object_id: replay } : {}) }
  const audit = useResource(`who/${replay}/${newest}`, (signal) => (may.value.admin ? get('/audit', { query, signal }) : Promise.resolve(null)), true)
  return useMemo(() => new Map((audit.data?.data ?? []).flatMap((entry) => (entry.object_id ? [[entry.object_id, entry] as const] : []))), [audit.data])
}
