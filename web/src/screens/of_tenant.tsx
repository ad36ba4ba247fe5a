// A page of one object, opened while all tenants are chosen: search finds whose it is, and the address names it from then on.
import type { ComponentChildren } from 'preact'
import { useEffect } from 'preact/hooks'
import { get, type Schemas } from '../api/client'
import { useResource } from '../api/resource'
import { isAll } from '../api/session'
import { go, here } from '../route'
import { Bones, Failure } from '../ui/states'
import { ChooseTenant } from './events/publish'

/** A text that only names the id, such as somebody's payload, does not count. */
const isOf = (row: Schemas['SearchRow'], id: string) => [row.id, row.webhook_id, row.subscription_id].includes(id) || row.title === `replay ${id}`

interface Props {
  id: string
  /** Why a tenant has to be chosen, where search does not find it. */
  what: string
  children: ComponentChildren
}

export function OfTenant({ id, what, children }: Props) {
  return isAll.value ? <Finding id={id} what={what} /> : <>{children}</>
}

function Finding({ id, what }: Omit<Props, 'children'>) {
  const owner = useResource(id, async (signal) => {
    const { data } = await get('/search', { query: { q: id }, signal })
    return { tenant: data.find((row) => row.tenant_id !== null && isOf(row, id))?.tenant_id ?? null }
  })
  const tenant = owner.data?.tenant
  useEffect(() => {
    if (tenant) go(here({ tenant }), 'replace')
  }, [tenant])
  if (owner.problem) return <Failure problem={owner.problem} retry={owner.reload} />
  return owner.data && !tenant ? <ChooseTenant what={what} /> : <Bones lines={8} />
}
