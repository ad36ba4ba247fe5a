// Deletes a tenant, after it was named, and says what that cancelled.
import { useState } from 'preact/hooks'
import { post, remove, type Schemas } from '../../api/client'
import { useResource } from '../../api/resource'
import { tenantsChanged } from '../../api/sign_in'
import { Confirm } from '../../ui/confirm'
import { Dialog } from '../../ui/dialog'
import { number } from '../../ui/moment'
import type { Tenant } from './list'

const deliveries = (count: number) => (count === 1 ? '1 delivery' : `${number(count)} deliveries`)

interface Props {
  tenant: Tenant
  close: () => void
  deleted: () => void
}

export function DeleteTenant({ tenant, close, deleted }: Props) {
  const [gone, setGone] = useState<Schemas['TenantDeleted'] | null>(null)
  const waits = useResource('waits', async (signal) => {
    const body = { only: { status: ['pending', 'held', 'sending'] }, dry_run: true }
    return (await post('/deliveries/cancel', { body: body as never, tenant: tenant.id, signal })) as unknown as { count: number }
  })
  if (gone) {
    return (
      <Dialog label="Tenant deleted" close={deleted}>
        <header class="dialog-head">
          <h2>Deleted</h2>
        </header>
        <p class="big-number">
          {number(gone.cancelled_deliveries)}
          {gone.cancelled_deliveries_more && '+'} <span>{gone.cancelled_deliveries === 1 ? 'pending delivery was cancelled' : 'pending deliveries were cancelled'}</span>
        </p>
        <p class="faint">What it published stays readable for nobody, and is removed when its retention ends. Its external id is free again.</p>
        <footer class="dialog-foot">
          <button type="button" class="button" onClick={deleted}>
            Done
          </button>
        </footer>
      </Dialog>
    )
  }
  return (
    <Confirm
      title="Delete this tenant?"
      verb="Delete"
      danger
      stays
      typed={tenant.external_id ?? tenant.name}
      close={close}
      act={async () => {
        setGone(await remove('/tenants/{tenant}', { at: { tenant: tenant.id } }))
        void tenantsChanged()
      }}
    >
      <p class="wrap">
        The keys of <b>{tenant.name}</b> are revoked, its subscriptions end
        {waits.data ? ` and ${waits.data.count === 0 ? 'nothing waits to be delivered' : `${deliveries(waits.data.count)} that wait are cancelled`}` : ' and what waits is cancelled'}. This cannot be
        undone.
      </p>
    </Confirm>
  )
}
