import { go, href } from '../../route'
import { withoutTenant } from '../../shell/tenants'
import { Icon } from '../../ui/icons'
import { TenantView } from './view'

export function TenantPage({ params }: { params: Record<string, string> }) {
  return (
    <div class="sheet">
      <a class="back" href={href('/tenants')}>
        <Icon name="left" /> Tenants
      </a>
      <TenantView id={params.tenant ?? ''} deleted={(tenant) => go(href('/tenants', withoutTenant(tenant)), 'replace')} />
    </div>
  )
}
